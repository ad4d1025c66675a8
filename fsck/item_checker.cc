#include "fsck/item_checker.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>

#include "blockio/aligned_buffer.h"
#include "fs/format/checksum.h"

namespace ashlar::fsck {

using format::ItemKind;
using format::Key;

std::string_view name_of(ItemKind kind) noexcept {
  switch (kind) {
    case ItemKind::inode: return "inode";
    case ItemKind::dirent: return "directory entry";
    case ItemKind::xattr: return "extended attribute";
    case ItemKind::xattr_value: return "extended attribute value";
    case ItemKind::extent: return "extent";
    case ItemKind::inline_data: return "inline data";
    case ItemKind::symlink: return "symlink";
    case ItemKind::orphan: return "orphan";
  }
  return "unknown";
}

void ItemChecker::malformed(const Key& key) {
  context_.report.add(FindingId::item_malformed, key.inode.value(), name_of(key.kind), key.offset);
}

Status ItemChecker::take(const Key& key, std::span<const std::byte> value) {
  if (key.inode == format::kOrphanOwner && key.kind == ItemKind::orphan) return take_orphan(key, value), Status{};
  if (key.inode.value() != number_ || key.kind == ItemKind::inode) {
    end_inode();
    number_ = key.inode.value();
    if (key.kind == ItemKind::inode) return begin_inode(key, value), Status{};
  }
  if (!inode_ && missing_number_ != number_) {
    missing_number_ = number_;
    context_.report.add(FindingId::item_without_inode, number_, name_of(key.kind));
  }
  switch (key.kind) {
    case ItemKind::dirent: take_dirents(key, value); break;
    case ItemKind::xattr: take_xattrs(key, value); break;
    case ItemKind::xattr_value: take_xattr_part(key, value); break;
    case ItemKind::extent: return take_extent(key, value);
    case ItemKind::inline_data:
    case ItemKind::symlink:
      if (inode_ && (key.kind == ItemKind::symlink) != S_ISLNK(inode_->mode)) {
        context_.report.add(FindingId::item_misplaced, number_, name_of(key.kind));
      }
      has_content_item_ = true;
      content_bytes_ = value.size();
      break;
    default: context_.report.add(FindingId::item_kind_unknown, number_, static_cast<unsigned>(key.kind));
  }
  return {};
}

void ItemChecker::begin_inode(const Key& key, std::span<const std::byte> value) {
  const Result<format::InodeItem> item = format::parse_inode(value);
  if (!item || key.offset != 0) return malformed(key);
  inode_ = *item;
  if (number_ >= context_.next_inode) context_.report.add(FindingId::inode_number_unused, number_);
  InodeRecord record;
  record.number = number_;
  record.parent = item->parent;
  record.entries = item->entries;
  record.mode = item->mode;
  record.links = item->links;
  context_.inodes.push_back(record);
  ++context_.report.inodes;
  if (S_ISDIR(record.mode)) ++context_.report.directories;
}

void ItemChecker::end_inode() {
  if (inode_) check_sizes();
  for (const ApartValue& value : apart_) {
    if (value.missing != 0) context_.report.add(FindingId::xattr_value_incomplete, number_);
  }
  inode_.reset();
  extent_end_ = extent_blocks_ = content_bytes_ = 0;
  has_content_item_ = false;
  xattrs_ = 0;
  apart_.clear();
}

void ItemChecker::check_sizes() {
  Report& report = context_.report;
  if (inode_->blocks != extent_blocks_) report.add(FindingId::block_count_wrong, number_, inode_->blocks.value(), extent_blocks_);
  if (inode_->xattrs != xattrs_) report.add(FindingId::xattr_count_wrong, number_, inode_->xattrs.value(), xattrs_);
  const bool whole = has_content_item_ || S_ISLNK(inode_->mode);  // contents that are one item
  // What an unlinked inode still has is being removed.
  if (whole && inode_->links != 0 && inode_->size != content_bytes_) {
    report.add(FindingId::size_wrong, number_, inode_->size.value(), content_bytes_);
  }
}

Status ItemChecker::take_extent(const Key& key, std::span<const std::byte> value) {
  const Result<format::Extent> extent = format::parse_extent(key, value, context_.layout.block_count());
  if (!extent) return malformed(key), Status{};
  const BlockRun run{extent->physical, extent->count};
  if (context_.layout.touches_fixed(run)) {
    context_.report.add(FindingId::block_reserved, run.first.value(), "a file");
  } else if (const std::optional<BlockNumber> taken = context_.owned.claim(run)) {
    context_.report.add(FindingId::block_owned_twice, taken->value());
  }
  if (extent->file_block < extent_end_) context_.report.add(FindingId::extents_overlap, number_, extent->file_block);
  extent_end_ = std::max(extent_end_, extent->end());
  extent_blocks_ += extent->count;
  if (inode_ && !S_ISREG(inode_->mode)) context_.report.add(FindingId::item_misplaced, number_, name_of(key.kind));
  return context_.options.data ? verify_data(*extent) : Status{};
}

Status ItemChecker::verify_data(const format::Extent& extent) {
  if (extent.checksums.empty()) return {};
  const std::size_t block_size = context_.layout.block_size();
  blockio::AlignedBuffer buffer(extent.count * block_size);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  blockio::IoOp read = blockio::IoOp::read(context_.layout.byte_offset(extent.physical), buffer.span());
  const bool readable = context_.io.run(read).has_value();
  for (std::uint32_t i = 0; i < extent.count; ++i) {
    if (readable && format::crc32c(buffer.span().subspan(i * block_size, block_size)) == extent.checksums[i]) continue;
    context_.report.add(FindingId::data_checksum_wrong, number_, extent.file_block + i);
  }
  return {};
}

void ItemChecker::take_dirents(const Key& key, std::span<const std::byte> value) {
  if (inode_ && !S_ISDIR(inode_->mode)) context_.report.add(FindingId::item_misplaced, number_, name_of(key.kind));
  format::DirentCursor cursor(value);
  std::vector<std::string_view> seen;  // equal names have equal hashes, so they meet here
  while (const std::optional<format::Dirent> entry = cursor.next()) {
    const bool bad = entry->name.empty() || entry->name == "." || entry->name == ".." ||
                     entry->name.find_first_of(std::string_view("/\0", 2)) != std::string_view::npos;
    if (bad) context_.report.add(FindingId::name_bad, number_);
    if (format::hash_name(entry->name, context_.superblock.hash_seed) != key.offset) {
      context_.report.add(FindingId::name_hash_wrong, number_);
    }
    if (std::find(seen.begin(), seen.end(), entry->name) != seen.end()) context_.report.add(FindingId::name_twice, number_);
    seen.push_back(entry->name);
    context_.names.push_back({number_, entry->inode.value(), entry->type});
  }
  if (cursor.malformed() || seen.empty()) malformed(key);
}

void ItemChecker::take_xattrs(const Key& key, std::span<const std::byte> value) {
  format::XattrCursor cursor(value);
  while (const std::optional<format::Xattr> xattr = cursor.next()) {
    ++xattrs_;
    if (format::hash_name(xattr->name, context_.superblock.hash_seed) != key.offset) {
      context_.report.add(FindingId::xattr_malformed, number_);
    }
    if (xattr->value_id) apart_.push_back({*xattr->value_id, xattr->value_size});
  }
  if (cursor.malformed()) context_.report.add(FindingId::xattr_malformed, number_);
}

void ItemChecker::take_xattr_part(const Key& key, std::span<const std::byte> value) {
  const std::uint64_t id = key.offset >> 8;
  const auto owner = std::find_if(apart_.begin(), apart_.end(), [id](const ApartValue& candidate) { return candidate.id == id; });
  if (owner == apart_.end() || value.size() > owner->missing) return malformed(key);
  owner->missing -= value.size();
}

void ItemChecker::take_orphan(const Key& key, std::span<const std::byte> value) {
  if (!format::parse_orphan(value)) malformed(key);
  context_.orphans.push_back(key.offset);
}

}  // namespace ashlar::fsck
