// Which parts of a file lie in pieces that are better put together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fs/volume/extent_window.h"

namespace ashlar::volume {

// Blocks that follow one another in the file and on the device, however many items describe them. A hole does not end
// it, whether room was left for the hole or not.
struct FileRun {
  std::uint64_t first = 0;  // file block
  std::uint64_t end = 0;
  std::uint64_t blocks = 0;  // without holes
  BlockNumber physical;
  BlockNumber physical_end;
};

// Short runs, one behind the other in the file.
struct ShortRuns {
  BlockNumber goal;  // where the blocks before them end; 0: there are none
  std::vector<FileRun> runs;
  BlockNumber follower;  // where the blocks behind them begin; 0: there are none, or they are not known
};

struct FragmentLimits {
  std::uint64_t shortest = 1;  // blocks of a run that is long enough
  std::uint64_t blocks = 0;    // when as many are to be moved, it is enough
};

struct FragmentPlan {
  // Two runs or more, or one that may join its neighbours.
  std::vector<ShortRuns> ranges;
  std::uint64_t runs = 0;  // that begin where it looked
  std::uint64_t next = 0;  // the file block where to go on
  bool done = true;        // nothing is left there
};

// `extents`: ascending, from the one before file block `from` on if there is one. `truncated`: more follow that are not
// among them.
[[nodiscard]] FragmentPlan plan_fragments(std::span<const MappedExtent> extents, bool truncated, std::uint64_t from,
                                          const FragmentLimits& limits);

}  // namespace ashlar::volume
