// The contents of an empty volume: a tree of one leaf with the root directory, and what bitmaps and group table say of
// that.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fs/base/types.h"
#include "fs/format/items.h"
#include "fs/format/layout.h"
#include "fs/format/node.h"
#include "fs/format/superblock.h"

namespace ashlar::mkfs {

inline constexpr Generation kFirstGeneration{1};

// A moment as inode items have it.
struct Moment {
  std::uint64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

// Where the root leaf's copies go: aligned to their size, in different groups when there is more than one.
struct RootPlaces {
  BlockNumber address[format::kCopies];
};
[[nodiscard]] Result<RootPlaces> choose_root_places(const format::Layout& layout);

// The root directory.
[[nodiscard]] format::InodeItem root_inode(Moment now, std::uint32_t uid, std::uint32_t gid);

// Fills `node` (node_size bytes) with the sealed root leaf and returns the pointer to it.
[[nodiscard]] format::NodePointer build_root_leaf(std::span<std::byte> node, const std::uint8_t (&uuid)[16],
                                                  const RootPlaces& places, const format::InodeItem& inode);

// A group of which some blocks are in use besides the fixed ones.
struct TouchedGroup {
  std::uint32_t group = 0;
  std::vector<BlockRun> used;
};
[[nodiscard]] std::vector<TouchedGroup> touched_groups(const format::Layout& layout, const RootPlaces& places);

// Fills `bitmap` (block_size bytes) and returns the entry that vouches for it. It belongs into slot 0.
[[nodiscard]] format::GroupEntry build_bitmap(const format::Layout& layout, const TouchedGroup& touched,
                                              std::span<std::byte> bitmap);

}  // namespace ashlar::mkfs
