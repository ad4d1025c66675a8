#include "fs/ctl/item_text.h"

#include <fmt/format.h>

#include "fs/format/items.h"

namespace ashlar::ctl {
// Names are any bytes; only printable ASCII goes to the terminal as it is.
std::string in_quotes(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '\'' || c == '\\') {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result.push_back(c);
    }
  }
  return result + "'";
}

namespace {

std::string time_text(const format::TimeItem& time) {
  return fmt::format("{}.{:09}", static_cast<std::int64_t>(time.seconds.value()), time.nanoseconds.value());
}

std::string inode_text(std::span<const std::byte> value) {
  const auto inode = format::parse_inode(value);
  if (!inode) return inode.error().message();
  return fmt::format(
      "mode {:06o}, {} links, owner {}:{}, {} bytes, {} blocks, parent {}, {} entries, flags {:#x}, {} attributes, "
      "device {:#x}, project {}, made in generation {}, version {}, accessed {}, modified {}, changed {}, born {}",
      inode->mode.value(), inode->links.value(), inode->uid.value(), inode->gid.value(), inode->size.value(),
      inode->blocks.value(), inode->parent.value(), inode->entries.value(), inode->flags.value(), inode->xattrs.value(),
      inode->device.value(), inode->project.value(), inode->generation.value(), inode->version.value(),
      time_text(inode->accessed), time_text(inode->modified), time_text(inode->changed), time_text(inode->born));
}

std::string dirent_text(std::span<const std::byte> value) {
  std::string text;
  format::DirentCursor cursor(value);
  while (const auto entry = cursor.next()) {
    text += fmt::format("{}{} -> {} (type {})", text.empty() ? "" : ", ", in_quotes(entry->name), entry->inode.value(),
                        entry->type);
  }
  return cursor.malformed() ? text + " malformed" : text;
}

std::string xattr_text(std::span<const std::byte> value) {
  std::string text;
  format::XattrCursor cursor(value);
  while (const auto entry = cursor.next()) {
    text += fmt::format("{}{}: {} bytes{}", text.empty() ? "" : ", ", in_quotes(entry->name), entry->value_size,
                        entry->value_id ? " apart" : "");
  }
  return cursor.malformed() ? text + " malformed" : text;
}

std::string extent_text(const format::Key& key, std::span<const std::byte> value, std::uint64_t block_count) {
  const auto extent = format::parse_extent(key, value, block_count);
  if (!extent) return extent.error().message();
  std::string text =
      fmt::format("file blocks {} to {} at {}{}, born {}, ", extent->file_block, extent->end() - 1,
                  extent->physical.value(), extent->unwritten() ? ", unwritten" : "", extent->birth.value());
  if (extent->checksums.empty()) return text + "no checksums";
  text += "checksums";
  for (const format::le32& checksum : extent->checksums) text += fmt::format(" {:08x}", checksum.value());
  return text;
}

std::string orphan_text(std::span<const std::byte> value) {
  const auto orphan = format::parse_orphan(value);
  if (!orphan) return orphan.error().message();
  const bool unlinked = format::OrphanReason{orphan->reason} == format::OrphanReason::unlinked;
  return fmt::format("{}, since generation {}", unlinked ? "without a name, to be removed" : "to be truncated",
                     orphan->generation.value());
}

}  // namespace

std::string kind_text(format::ItemKind kind) {
  switch (kind) {
    case format::ItemKind::inode: return "inode";
    case format::ItemKind::dirent: return "dirent";
    case format::ItemKind::xattr: return "xattr";
    case format::ItemKind::xattr_value: return "xattr_value";
    case format::ItemKind::extent: return "extent";
    case format::ItemKind::inline_data: return "inline_data";
    case format::ItemKind::symlink: return "symlink";
    case format::ItemKind::orphan: return "orphan";
  }
  return fmt::format("kind {}", static_cast<unsigned>(kind));
}

std::string key_text(const format::Key& key) {
  return fmt::format("({} {} {:#x})", key.inode.value(), kind_text(key.kind), key.offset);
}

std::string value_text(const format::Key& key, std::span<const std::byte> value, std::uint64_t block_count) {
  switch (key.kind) {
    case format::ItemKind::inode: return inode_text(value);
    case format::ItemKind::dirent: return dirent_text(value);
    case format::ItemKind::xattr: return xattr_text(value);
    case format::ItemKind::extent: return extent_text(key, value, block_count);
    case format::ItemKind::symlink:
      return "to " + in_quotes({reinterpret_cast<const char*>(value.data()), value.size()});
    case format::ItemKind::orphan: return orphan_text(value);
    case format::ItemKind::xattr_value:
    case format::ItemKind::inline_data: break;
  }
  return fmt::format("{} bytes", value.size());
}

}  // namespace ashlar::ctl
