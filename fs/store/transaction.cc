#include "fs/store/transaction.h"

#include <algorithm>
#include <utility>

#include "fs/store/store_state.h"

namespace ashlar::store {

Allocation::~Allocation() {
  if (store_ != nullptr && run_.count != 0) store_->state_->write_behind->cancel(run_);
}

Allocation::Allocation(Allocation&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), run_(std::exchange(other.run_, {})) {}

Allocation& Allocation::operator=(Allocation&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(run_, other.run_);
  return *this;
}

Allocation Allocation::take_first(std::uint64_t count) noexcept {
  if (store_ == nullptr || count == 0) return {};
  const BlockRun taken{run_.first, std::min(count, run_.count)};
  run_ = {taken.end(), run_.count - taken.count};
  return {*store_, taken};
}

SpaceClaim::SpaceClaim(SpaceClaim&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), nodes_(std::exchange(other.nodes_, 0)) {}

SpaceClaim& SpaceClaim::operator=(SpaceClaim&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(nodes_, other.nodes_);
  return *this;
}

void SpaceClaim::reset() noexcept {
  if (store_ != nullptr) {
    store_->state_->claimed_nodes.fetch_sub(nodes_, std::memory_order_relaxed);
    store_->state_->claimed_nodes.notify_all();
  }
  store_ = nullptr;
  nodes_ = 0;
}

void Transaction::adopt(Allocation allocation) {
  const BlockRun run = allocation.run();
  if (run.count == 0) return;
  record_.allocate(run);
  adopted_.push_back(std::move(allocation));
}

void Transaction::adopt_part(Allocation allocation, BlockRun used) {
  Store* const store = allocation.store_;
  const BlockRun whole = std::exchange(allocation.run_, {});
  if (store == nullptr) return;
  // What is not used goes back at once: these end here.
  const Allocation before(*store, BlockRun{whole.first, used.first - whole.first});
  const Allocation after(*store, BlockRun{used.end(), whole.end() - used.end()});
  adopt(Allocation(*store, used));
}

void Transaction::free(BlockRun run) {
  if (run.count == 0) return;
  record_.free(run);
  freed_.push_back(run);
}

void Transaction::clear() {
  record_.clear();
  adopted_.clear();
  freed_.clear();
  claim_.reset();
}

}  // namespace ashlar::store
