// The units every layer above blockio speaks in.
#pragma once

#include <cstdint>

#include "fs/base/strong_int.h"

namespace ashlar {

// A volume block, counted from the start of the volume in units of the volume's block size.
using BlockNumber = StrongInt<struct BlockNumberTag>;

// Never reused; 0 is no inode, 1 the root directory.
using InodeNumber = StrongInt<struct InodeNumberTag>;
inline constexpr InodeNumber kNoInode{0};
inline constexpr InodeNumber kRootInode{1};

// Log sequence number: a byte position in the endless log. Ordered as the operations are.
using Lsn = StrongInt<struct LsnTag>;

// Counts checkpoints; the superblock, nodes and bitmaps carry the one that wrote them.
using Generation = StrongInt<struct GenerationTag>;

// `count` blocks from `first`.
struct BlockRun {
  BlockNumber first;
  std::uint64_t count = 0;

  [[nodiscard]] constexpr BlockNumber end() const noexcept { return first + count; }
  friend constexpr bool operator==(const BlockRun&, const BlockRun&) noexcept = default;
};

}  // namespace ashlar
