// What an operation does when it finds no space.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "blockio/io_queue.h"
#include "fs/base/result.h"

namespace ashlar::volume {

struct VolumeState;

// How often data was moved out of the way of nodes since the volume was opened.
struct Evacuations {
  std::mutex lock;  // one at a time; taken before any inode's lock
  std::atomic<std::uint64_t> ended{0};
  std::uint64_t vain_until = 0;  // guarded by lock: with no more blocks free another will not help either
};

// For one operation; begun before its first attempt.
class SpaceSearch {
 public:
  SpaceSearch(VolumeState& volume, blockio::IoQueue& io) noexcept;
  // After an attempt that found none, whether another is worth it: removals that were waiting have ended, or room was
  // made for nodes, which need several free blocks in a row. No inode may be locked.
  [[nodiscard]] bool make_space();

 private:
  [[nodiscard]] bool wait_for_removals();
  [[nodiscard]] bool make_room_for_nodes();

  VolumeState& volume_;
  blockio::IoQueue& io_;
  const std::uint64_t removals_seen_;
  std::uint64_t shortages_seen_;
  std::uint64_t evacuations_seen_;
  bool waited_ = false;
  int evacuations_ = 0;
};

// Runs `operation` (a callable returning Status or a Result), again as long as that may find space. No inode may be
// locked.
template <typename Operation>
auto with_space_retry(VolumeState& volume, blockio::IoQueue& io, Operation operation) {
  for (SpaceSearch search(volume, io);;) {
    auto result = operation();
    if (result || result.error().code() != ErrorCode::no_space || !search.make_space()) return result;
  }
}

}  // namespace ashlar::volume
