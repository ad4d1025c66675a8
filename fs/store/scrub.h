// Looking for damage while the volume is in use, one small step at a time. See Store::scrub_*.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/key.h"

namespace ashlar::store {

enum class MetadataKind : std::uint8_t { superblock = 1, group_table = 2, bitmap = 3, node = 4 };

// One bad copy.
struct MetadataFinding {
  MetadataKind kind{};
  std::uint64_t offset = 0;  // of the copy on the volume, bytes
  ErrorCode why{};
  bool healed = false;
  bool lost = false;  // the other copy is bad as well: what it held is gone
  // Of a node: the inodes of which it may hold something.
  InodeNumber first_inode;
  InodeNumber last_inode;
};

struct MetadataScrub {
  std::uint64_t bytes = 0;  // read, all copies
  std::vector<MetadataFinding> findings;
};

// A leaf as it is on the device, or where it has changed since the last checkpoint, in memory.
struct LeafScrub {
  blockio::AlignedBuffer image;  // a validated leaf when `readable`
  bool readable = false;
  std::optional<format::Key> next;  // where the next leaf begins; none: this was the last
};

}  // namespace ashlar::store
