// What to do when there is no space although some may come free.
#pragma once

#include <cstdint>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/store/store_state.h"

namespace ashlar::store {

// For one caller that wants blocks: begin() before each attempt, make_space() after one that found none.
class SpaceRetry {
 public:
  SpaceRetry(Store::State& state, blockio::IoQueue& io) noexcept : state_(state), io_(io) {}

  // What happens from here on is what the attempt may have missed.
  void begin() noexcept;
  // Waits for what sets blocks aside, or has a checkpoint free some; false when there is no use in another attempt.
  [[nodiscard]] Result<bool> make_space();
  // Something else has changed: checkpoints count anew.
  void start_over() noexcept { checkpoints_ = 0; }

 private:
  [[nodiscard]] bool waited_for_discard() const;

  Store::State& state_;
  blockio::IoQueue& io_;
  std::uint64_t checkpoints_seen_ = 0;
  std::uint64_t discards_seen_ = 0;
  int checkpoints_ = 0;
  int discard_waits_ = 0;
};

}  // namespace ashlar::store
