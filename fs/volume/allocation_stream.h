// Where a file that is written from one end to the other goes on, though the writes before have not ended yet.
#pragma once

#include <cstdint>
#include <mutex>

#include "fs/base/types.h"
#include "fs/store/store.h"

namespace ashlar::volume {

// Several workers write one file at the same time, in any order, and its extents only say what has been committed. Each
// allocation tells the next ones how far the file's blocks are from their places, so that each goes where it would be
// had the others been there already.
class AllocationStream {
 public:
  // Shorter allocations are not a stream: random writes would leave holes between their places.
  static constexpr std::uint64_t kLeastBlocks = 64;
  // How many writes of the same length may lie between one and the last that was allocated.
  static constexpr std::uint64_t kReach = 32;

  // Held from goal_for() to note(), or the writes that come together at the beginning would all begin anew.
  std::mutex lock;

  // Where `count` blocks of the file from `file_block` on had best lie; 0 when that is unknown.
  [[nodiscard]] BlockNumber goal_for(std::uint64_t file_block, std::uint64_t count) const noexcept {
    if (physical_end_ == BlockNumber{0}) return physical_end_;
    const bool before = file_block < file_end_;
    const std::uint64_t distance = before ? file_end_ - file_block : file_block - file_end_;
    if (distance > kReach * count || (before && distance >= physical_end_.value())) return BlockNumber{0};
    return BlockNumber{before ? physical_end_.value() - distance : physical_end_.value() + distance};
  }

  void note(std::uint64_t file_block, BlockRun run) noexcept {
    file_end_ = file_block + run.count;
    physical_end_ = run.end();
  }

  // Blocks of the file from `file_block` on lie in `run` now.
  void moved(std::uint64_t file_block, BlockRun run) noexcept {
    if (file_end_ > file_block && file_end_ - file_block <= run.count)
      physical_end_ = run.first + (file_end_ - file_block);
  }

 private:
  // Of what was allocated last; 0: nothing yet.
  std::uint64_t file_end_ = 0;
  BlockNumber physical_end_{0};
};

}  // namespace ashlar::volume
