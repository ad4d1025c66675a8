// Putting the pieces of a file together on the device. See Volume::defragment.
#pragma once

#include <cstdint>

#include "fs/base/types.h"

namespace ashlar::volume {

// A run of this length is long enough, unless the caller says otherwise; and the most that he may say.
inline constexpr std::uint64_t kDefaultShortestRun = 1U << 20;
inline constexpr std::uint64_t kLongestShortestRun = 8U << 20;
// The most that one step moves, but for what ends a run.
inline constexpr std::uint64_t kMaxDefragmentBudget = 2 * kLongestShortestRun;

// All in bytes. Any position is valid.
struct DefragmentRequest {
  InodeNumber inode;
  std::uint64_t position = 0;
  std::uint64_t shortest_run = kDefaultShortestRun;  // shorter ones are put together, if there are several
  std::uint64_t budget = kMaxDefragmentBudget;
  bool dry_run = false;  // only looks
};

struct DefragmentStep {
  std::uint64_t next = 0;   // position
  std::uint64_t runs = 0;   // that began between the two positions, before anything was moved
  std::uint64_t bytes = 0;  // moved, or in a dry run worth it
  bool done = false;
};

}  // namespace ashlar::volume
