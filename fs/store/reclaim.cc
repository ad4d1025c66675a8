#include "fs/store/reclaim.h"

#include <thread>
#include <utility>

namespace ashlar::store {

Reclaim::Guard::Guard(Reclaim& reclaim) noexcept : reclaim_(&reclaim), side_(0) {
  // A reader that loses the race with a flip counts on the old side for a moment; it moves on, so that no reader that
  // begins after wait_for_readers() has seen its side empty can still be on it.
  for (;;) {
    side_ = reclaim_->side_.load(std::memory_order_seq_cst);
    reclaim_->readers_[side_].fetch_add(1, std::memory_order_seq_cst);
    if (reclaim_->side_.load(std::memory_order_seq_cst) == side_) return;
    reclaim_->readers_[side_].fetch_sub(1, std::memory_order_seq_cst);
  }
}

Reclaim::Guard::Guard(Guard&& other) noexcept : reclaim_(std::exchange(other.reclaim_, nullptr)), side_(other.side_) {}

Reclaim::Guard::~Guard() {
  if (reclaim_ != nullptr) reclaim_->readers_[side_].fetch_sub(1, std::memory_order_seq_cst);
}

void Reclaim::wait_for_readers() {
  const unsigned old_side = side_.load(std::memory_order_seq_cst);
  side_.store(old_side ^ 1U, std::memory_order_seq_cst);
  // Readers hold guards for the length of one operation, so this is short and rare: once a checkpoint.
  while (readers_[old_side].load(std::memory_order_seq_cst) != 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

}  // namespace ashlar::store
