#include "fs/format/items.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "fs/format/head.h"
#include "fs/format/node.h"

namespace ashlar::format {
namespace {

constexpr std::uint32_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::uint64_t kMaxFileSize = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kMaxFileBlocks = kMaxFileSize / kMinBlockSize + 1;

std::string_view text_of(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The type bits of a mode, in the order of their numbers: FIFO, character device, directory, block device, regular
// file, symbolic link, socket.
bool is_file_type(std::uint32_t mode) noexcept {
  switch (mode & 0170000) {
    case 0010000:
    case 0020000:
    case 0040000:
    case 0060000:
    case 0100000:
    case 0120000:
    case 0140000: return true;
    default: return false;
  }
}

bool is_dirent_type(std::uint8_t type) noexcept {
  return type < 16 && is_file_type(static_cast<std::uint32_t>(type) << 12);  // DT_* are the type bits of a mode
}

}  // namespace

std::uint32_t max_checksummed_blocks(std::uint32_t node_size) noexcept {
  // 512 KiB of data and 536 bytes of item with the default sizes.
  constexpr std::uint32_t kEnough = 128;
  const std::uint32_t fit = (max_value_size(node_size) - static_cast<std::uint32_t>(sizeof(ExtentItem))) / 4;
  return std::min(kEnough, fit);
}

std::size_t max_extent_value_size(std::uint32_t node_size) noexcept {
  return sizeof(ExtentItem) + max_checksummed_blocks(node_size) * sizeof(le32);
}

std::uint32_t max_inline_size(std::uint32_t node_size) noexcept {
  constexpr std::uint32_t kEnough = 2048;
  return std::min(kEnough, max_value_size(node_size));
}

std::uint64_t hash_name(std::string_view name, const std::uint8_t (&seed)[16]) noexcept {
  constexpr std::uint64_t kRange = kLastDirentHash - kFirstDirentHash + 1;
  const std::uint64_t key = XXH3_64bits(seed, sizeof seed);
  const std::uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), key);
  return kFirstDirentHash + (hash >> 1) % kRange;
}

bool is_dirent_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxNameLength || name == "." || name == "..") return false;
  return name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::optional<Dirent> DirentCursor::next() noexcept {
  if (rest_.empty() || malformed_) return std::nullopt;
  malformed_ = true;  // until the entry proves sound
  if (rest_.size() < sizeof(DirentEntry)) return std::nullopt;
  const auto entry = head_of<DirentEntry>(rest_);
  const auto after = rest_.subspan(sizeof entry);
  if (entry.inode == 0 || !is_dirent_type(entry.type) || entry.name_length > after.size()) return std::nullopt;
  const std::string_view name = text_of(after.first(entry.name_length));
  if (names_ == Names::allowed && !is_dirent_name(name)) return std::nullopt;
  malformed_ = false;
  rest_ = after.subspan(name.size());
  return Dirent{InodeNumber{entry.inode}, entry.type, name};
}

std::optional<Xattr> XattrCursor::next() noexcept {
  if (rest_.empty() || malformed_) return std::nullopt;
  malformed_ = true;
  if (rest_.size() < sizeof(XattrEntry)) return std::nullopt;
  const auto entry = head_of<XattrEntry>(rest_);
  auto after = rest_.subspan(sizeof entry);
  if ((entry.flags & ~kXattrValueApart) != 0 || entry.value_size > kMaxXattrValue) return std::nullopt;
  if (entry.name_length == 0 || entry.name_length > kMaxNameLength || entry.name_length > after.size()) {
    return std::nullopt;
  }
  Xattr xattr;
  xattr.name = text_of(after.first(entry.name_length));
  if (xattr.name.find('\0') != std::string_view::npos) return std::nullopt;
  after = after.subspan(xattr.name.size());
  xattr.value_size = entry.value_size;
  if ((entry.flags & kXattrValueApart) != 0) {
    xattr.value_id = entry.value_id;
  } else {
    if (xattr.value_size > after.size()) return std::nullopt;
    xattr.value = after.first(xattr.value_size);
    after = after.subspan(xattr.value_size);
  }
  malformed_ = false;
  rest_ = after;
  return xattr;
}

Result<InodeItem> parse_inode(std::span<const std::byte> value) {
  const auto corrupt = [](std::string_view what) {
    return fail(ErrorCode::corrupt_structure, fmt::format("inode item: {}", what));
  };
  if (value.size() != sizeof(InodeItem)) return corrupt("wrong size");
  const auto inode = head_of<InodeItem>(value);
  if (inode.mode > 0xffff || !is_file_type(inode.mode)) return corrupt("no type of file");
  if (inode.links > kMaxLinks) return corrupt("too many links");
  if (inode.size > kMaxFileSize) return corrupt("size out of range");
  for (const TimeItem& time : {inode.accessed, inode.modified, inode.changed, inode.born}) {
    if (time.nanoseconds >= kNanosecondsPerSecond) return corrupt("nanoseconds out of range");
  }
  return inode;
}

Result<Extent> parse_extent(const Key& key, std::span<const std::byte> value, std::uint64_t block_count) {
  const auto corrupt = [](std::string_view what) {
    return fail(ErrorCode::corrupt_structure, fmt::format("extent item: {}", what));
  };
  if (value.size() < sizeof(ExtentItem)) return corrupt("too short");
  const auto item = head_of<ExtentItem>(value);
  if (item.count == 0) return corrupt("covers nothing");
  if ((item.flags & ~(kExtentUnwritten | kExtentNoChecksum)) != 0) return corrupt("unknown flags");
  if (item.encoding != 0) return corrupt("unknown encoding");
  if (item.physical >= block_count || item.count > block_count - item.physical)
    return corrupt("reaches past the volume");
  if (key.offset > kMaxFileBlocks - item.count) return corrupt("reaches past the largest file");

  Extent extent;
  extent.file_block = key.offset;
  extent.physical = BlockNumber{item.physical};
  extent.count = item.count;
  extent.flags = item.flags;
  extent.birth = Generation{item.birth};
  const auto after = value.subspan(sizeof item);
  const bool plain = (item.flags & (kExtentUnwritten | kExtentNoChecksum)) != 0;
  if (plain) {
    if (extent.count > kMaxPlainExtentBlocks) return corrupt("covers too much");
    if (!after.empty()) return corrupt("wrong size");
  } else {
    if (after.size() != std::uint64_t{extent.count} * sizeof(le32)) return corrupt("wrong number of checksums");
    extent.checksums = {reinterpret_cast<const le32*>(after.data()), extent.count};
  }
  return extent;
}

Result<OrphanItem> parse_orphan(std::span<const std::byte> value) {
  if (value.size() != sizeof(OrphanItem)) return fail(ErrorCode::corrupt_structure, "orphan item: wrong size");
  const auto orphan = head_of<OrphanItem>(value);
  const auto reason = OrphanReason{orphan.reason};
  if (reason != OrphanReason::unlinked && reason != OrphanReason::truncated) {
    return fail(ErrorCode::corrupt_structure, "orphan item: unknown reason");
  }
  return orphan;
}

}  // namespace ashlar::format
