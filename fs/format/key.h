// The key of every item of a volume: which inode, which kind of item, where in it.
#pragma once

#include <compare>
#include <cstdint>

#include "fs/base/types.h"

namespace ashlar::format {

// On disk; never renumbered or reused.
enum class ItemKind : std::uint8_t {
  inode = 1,        // offset 0                       InodeItem
  dirent = 2,       // offset = hash of the name      one or more DirentEntry
  xattr = 3,        // offset = hash of the name      one or more XattrEntry
  xattr_value = 4,  // offset = value id << kXattrPartBits | part   bytes of a value too large for its xattr item
  extent = 5,       // offset = file block            ExtentItem and checksums
  inline_data = 6,  // offset 0                       the file's contents
  symlink = 7,      // offset = part number           the target
  orphan = 8,       // inode = kOrphanOwner, offset = inode number   OrphanItem
  // Room for: 9 reference count, 10 snapshot, 11 quota.
};

inline constexpr std::size_t kItemKindLimit = 16;  // kinds are below this
inline constexpr unsigned kXattrPartBits = 8;

// No inode has this number or a higher one, so that there is always a next number.
inline constexpr std::uint64_t kInodeNumberLimit = 1ULL << 62;

// The inode number under which all orphan items lie.
inline constexpr InodeNumber kOrphanOwner{0};

struct Key {
  InodeNumber inode;
  ItemKind kind = ItemKind::inode;
  std::uint64_t offset = 0;

  friend constexpr auto operator<=>(const Key&, const Key&) noexcept = default;
};

inline constexpr Key kLowestKey{InodeNumber{0}, ItemKind{0}, 0};
inline constexpr Key kHighestKey{InodeNumber{~0ULL}, ItemKind{0xff}, ~0ULL};

}  // namespace ashlar::format
