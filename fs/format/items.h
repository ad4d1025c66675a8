// The values of items, by kind.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "fs/base/result.h"
#include "fs/format/key.h"
#include "fs/format/superblock.h"

namespace ashlar::format {

inline constexpr std::size_t kMaxNameLength = 255;
inline constexpr std::size_t kMaxSymlinkLength = 4095;
inline constexpr std::uint32_t kMaxLinks = 0x7fff'ffff;

struct TimeItem {
  le64 seconds;  // two's complement
  le32 nanoseconds;
};
static_assert(sizeof(TimeItem) == 12);

struct InodeItem {
  le32 mode;  // type and permissions as in stat(2)
  le32 links;
  le32 uid;
  le32 gid;
  le64 size;
  le64 blocks;      // volume blocks that its extents hold
  le64 generation;  // of the store when it was made
  le64 parent;      // of a directory; 0 for others
  le32 flags;       // FS_*_FL of chattr(1)
  le32 device;      // of a device node, in the kernel's encoding
  TimeItem accessed;
  TimeItem modified;
  TimeItem changed;
  TimeItem born;
  le64 entries;  // of a directory, without . and ..
  le64 version;  // grows with every change
  le32 project;
  le32 xattrs;  // how many it has
  std::uint8_t reserved[16];
};
static_assert(sizeof(InodeItem) == 144 && std::is_trivially_copyable_v<InodeItem>);

// A dirent item's value is one or more of these back to back, for names whose hashes are equal.
struct DirentEntry {
  le64 inode;
  le16 name_length;
  std::uint8_t type;  // DT_* of readdir(3)
  std::uint8_t reserved;
  // the name follows
};
static_assert(sizeof(DirentEntry) == 12);

// An xattr item's value is one or more of these, likewise. Names carry their prefix ("user.x").
struct XattrEntry {
  le16 name_length;
  std::uint8_t flags;  // kXattrValueApart
  std::uint8_t reserved;
  le32 value_size;
  le64 value_id;  // kXattrValueApart: its xattr_value items have offset value_id << kXattrPartBits | part
  // the name follows, then the value unless it lies apart
};
static_assert(sizeof(XattrEntry) == 16);
inline constexpr std::uint8_t kXattrValueApart = 1;
inline constexpr std::size_t kMaxXattrValue = 65536;

// File blocks [key.offset, key.offset + count) lie at physical, ... Followed by count le32 CRC32C, one for each block,
// unless a flag says there are none.
struct ExtentItem {
  le64 physical;
  le32 count;  // blocks, not 0
  std::uint8_t flags;
  std::uint8_t encoding;  // 0: as it is
  le16 reserved;
  le64 birth;  // generation that wrote it
};
static_assert(sizeof(ExtentItem) == 24);
inline constexpr std::uint8_t kExtentUnwritten = 1;   // reads as zeros; no checksums
inline constexpr std::uint8_t kExtentNoChecksum = 2;  // overwritten in place

struct OrphanItem {
  le64 generation;
  std::uint8_t reason;  // OrphanReason
  std::uint8_t reserved[7];
};
static_assert(sizeof(OrphanItem) == 16);
enum class OrphanReason : std::uint8_t {
  unlinked = 1,   // no name is left: remove all of it
  truncated = 2,  // extents past the inode's size remain: remove them
};

// The most blocks one extent item with checksums covers, so that a small overwrite logs little.
[[nodiscard]] std::uint32_t max_checksummed_blocks(std::uint32_t node_size) noexcept;
// Of the largest items that a file has in numbers, bytes.
[[nodiscard]] std::size_t max_extent_value_size(std::uint32_t node_size) noexcept;
inline constexpr std::uint32_t kMaxPlainExtentBlocks = 1U << 20;  // of an item without checksums

// The largest file kept inside the tree.
[[nodiscard]] std::uint32_t max_inline_size(std::uint32_t node_size) noexcept;

// Keyed hash of a name: the offset of its dirent or xattr item. In [kFirstDirentHash, kLastDirentHash], so that readdir
// positions below are free for . and .. and none is negative as an off_t. XXH3-64 keyed with the volume's hash_seed.
inline constexpr std::uint64_t kFirstDirentHash = 3;
inline constexpr std::uint64_t kLastDirentHash = 0x7fff'ffff'ffff'fffeULL;
[[nodiscard]] std::uint64_t hash_name(std::string_view name, const std::uint8_t (&seed)[16]) noexcept;

// Iterates the entries of a dirent item's value; stops (nullopt) at the end or at the first malformed entry, which
// `malformed()` tells.
struct Dirent {
  InodeNumber inode;
  std::uint8_t type = 0;
  std::string_view name;
};
class DirentCursor {
 public:
  enum class Names : std::uint8_t { allowed, any };  // `any`: a name that is not allowed is an entry like others

  explicit DirentCursor(std::span<const std::byte> value, Names names = Names::allowed) noexcept
      : rest_(value), names_(names) {}
  [[nodiscard]] std::optional<Dirent> next() noexcept;
  [[nodiscard]] bool malformed() const noexcept { return malformed_; }

 private:
  std::span<const std::byte> rest_;
  Names names_;
  bool malformed_ = false;
};

// 1 to 255 bytes without NUL and '/', neither "." nor "..".
[[nodiscard]] bool is_dirent_name(std::string_view name) noexcept;

// Likewise for the entries of an xattr item's value. Names are any bytes but NUL.
struct Xattr {
  std::string_view name;
  std::uint32_t value_size = 0;
  std::optional<std::uint64_t> value_id;  // when the value lies apart
  std::span<const std::byte> value;       // when it does not
};
class XattrCursor {
 public:
  explicit XattrCursor(std::span<const std::byte> value) noexcept : rest_(value) {}
  [[nodiscard]] std::optional<Xattr> next() noexcept;
  [[nodiscard]] bool malformed() const noexcept { return malformed_; }

 private:
  std::span<const std::byte> rest_;
  bool malformed_ = false;
};

// An extent in memory. `checksums` views the item's value: count entries, or none.
struct Extent {
  std::uint64_t file_block = 0;
  BlockNumber physical;
  std::uint32_t count = 0;
  std::uint8_t flags = 0;
  Generation birth;
  std::span<const le32> checksums;

  [[nodiscard]] std::uint64_t end() const noexcept { return file_block + count; }
  [[nodiscard]] bool unwritten() const noexcept { return (flags & kExtentUnwritten) != 0; }
};

// Checked readers of item values; corrupt_structure when the value is not what its kind demands.
[[nodiscard]] Result<InodeItem> parse_inode(std::span<const std::byte> value);
[[nodiscard]] Result<Extent> parse_extent(const Key& key, std::span<const std::byte> value, std::uint64_t block_count);
[[nodiscard]] Result<OrphanItem> parse_orphan(std::span<const std::byte> value);

}  // namespace ashlar::format
