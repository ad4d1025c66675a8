// What to do when there is no space although some may come free.
#pragma once

#include <cstdint>
#include <shared_mutex>

#include "blockio/io_queue.h"
#include "fs/base/fair_shared_mutex.h"
#include "fs/base/result.h"
#include "fs/store/store_state.h"

namespace ashlar::store {

// For one caller that wants blocks: begin() before each attempt, make_space() after one that found none.
class SpaceRetry {
 public:
  SpaceRetry(Store::State& state, blockio::IoQueue& io) noexcept
      : state_(state), io_(io), nothing_set_aside_(state.discard_lock, std::defer_lock) {}

  // What happens from here on is what the attempt may have missed.
  void begin() noexcept { checkpoints_seen_ = state_.checkpoints.load(); }
  // Waits for what sets blocks aside, and keeps others from doing so for as long as this lives; then has checkpoints
  // free some. False when there is no use in another attempt.
  [[nodiscard]] Result<bool> make_space();
  // Something else is about to change: begins anew. To be called before waiting for anybody who may be short of space,
  // too.
  void start_over() noexcept;

 private:
  Store::State& state_;
  blockio::IoQueue& io_;
  std::shared_lock<FairSharedMutex> nothing_set_aside_;  // for discarding
  std::uint64_t checkpoints_seen_ = 0;
  int checkpoints_ = 0;
};

}  // namespace ashlar::store
