#include "fsck/item_checker.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>

#include "fs/format/node.h"

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
    case ItemKind::symlink: take_content(key, value); break;
    case ItemKind::orphan: context_.report.add(FindingId::item_misplaced, number_, name_of(key.kind)); break;
    default: context_.report.add(FindingId::item_kind_unknown, number_, static_cast<unsigned>(key.kind));
  }
  return {};
}

void ItemChecker::begin_inode(const Key& key, std::span<const std::byte> value) {
  const Result<format::InodeItem> item = format::parse_inode(value);
  if (!item || key.offset != 0) {
    missing_number_ = number_;
    return malformed(key);
  }
  inode_ = *item;
  if (number_ >= context_.next_inode) context_.report.add(FindingId::inode_number_unused, number_);
  const InodeRecord record = record_of(key.inode, *item);
  context_.remember(record);
  ++context_.report.inodes;
  if (S_ISDIR(record.mode)) ++context_.report.directories;
}

void ItemChecker::end_inode() {
  if (inode_) {
    check_sizes();
    check_lost();
  }
  for (const auto& [id, value] : apart_) {
    if (value.missing != 0 && !is_being_removed()) context_.report.add(FindingId::xattr_value_incomplete, number_);
  }
  inode_.reset();
  extent_end_ = extent_blocks_ = content_bytes_ = found_entries_ = 0;
  has_content_item_ = false;
  xattrs_ = 0;
  apart_.clear();
}

void ItemChecker::check_sizes() {
  Report& report = context_.report;
  if (inode_->blocks != extent_blocks_)
    report.add(FindingId::block_count_wrong, number_, inode_->blocks.value(), extent_blocks_);
  if (inode_->xattrs != xattrs_) report.add(FindingId::xattr_count_wrong, number_, inode_->xattrs.value(), xattrs_);
  const bool whole = has_content_item_ || S_ISLNK(inode_->mode);  // contents that are one item
  if (S_ISDIR(inode_->mode) && inode_->entries != found_entries_)
    report.add(FindingId::entry_count_wrong, number_, inode_->entries.value(), found_entries_);
  if (whole && !is_being_removed() && inode_->size != content_bytes_) {
    report.add(FindingId::size_wrong, number_, inode_->size.value(), content_bytes_);
  }
}

// What a count does not find may be where the tree is lost; of a file without blocks and contents nothing says whether
// it had any.
void ItemChecker::check_lost() {
  const Key first{InodeNumber{number_}, ItemKind::dirent, 0};
  const Key last{InodeNumber{number_}, ItemKind{format::kItemKindLimit}, 0};
  if (is_being_removed() || !context_.lost.touches(first, last)) return;
  const bool is_empty = !S_ISDIR(inode_->mode) && inode_->size != 0 && inode_->blocks == 0 && !has_content_item_;
  const bool lacks = inode_->blocks > extent_blocks_ || inode_->xattrs > xattrs_ ||
                     (S_ISDIR(inode_->mode) && inode_->entries > found_entries_) ||
                     (S_ISLNK(inode_->mode) && inode_->size != content_bytes_);
  if (lacks || is_empty) context_.report.add(FindingId::contents_lost, number_);
}

void ItemChecker::finish() {
  end_inode();
  if (data_) data_->finish();
}

void ItemChecker::take_content(const Key& key, std::span<const std::byte> value) {
  const bool is_target = key.kind == ItemKind::symlink;
  const bool fits = !inode_ || (is_target ? S_ISLNK(inode_->mode) : S_ISREG(inode_->mode) && extent_blocks_ == 0);
  if (!fits) context_.report.add(FindingId::item_misplaced, number_, name_of(key.kind));
  // A long target is in parts, of which all but the last are as large as an item may be.
  const std::uint64_t part = is_target ? content_bytes_ / format::max_value_size(context_.superblock.node_size) : 0;
  const bool is_too_long = is_target && content_bytes_ + value.size() > format::kMaxSymlinkLength;
  if (!is_being_removed() && (key.offset != part || is_too_long)) malformed(key);
  has_content_item_ = true;
  content_bytes_ += value.size();
}

Status ItemChecker::take_extent(const Key& key, std::span<const std::byte> value) {
  const Result<format::Extent> extent = format::parse_extent(key, value, context_.layout.block_count());
  if (!extent) return malformed(key), Status{};
  const BlockRun run{extent->physical, extent->count};
  if (context_.layout.touches_fixed(run)) {
    context_.report.add(FindingId::block_reserved, run.first.value(), "a file");
  } else if (const std::optional<BlockNumber> taken = context_.owned.claim(run)) {
    context_.report.add(FindingId::block_owned_twice, taken->value(), number_);
  }
  if (extent->file_block < extent_end_) context_.report.add(FindingId::extents_overlap, number_, extent->file_block);
  check_end(*extent);
  extent_end_ = std::max(extent_end_, extent->end());
  extent_blocks_ += extent->count;
  if (inode_ && !S_ISREG(inode_->mode)) context_.report.add(FindingId::item_misplaced, number_, name_of(key.kind));
  return data_ ? data_->take(number_, *extent) : Status{};
}

// Past the last byte lies only what was preallocated, or what a truncation or removal has not come to yet.
void ItemChecker::check_end(const format::Extent& extent) {
  if (!inode_ || extent.unwritten() || is_being_removed() || is_listed_orphan()) return;
  const std::uint64_t block_size = context_.layout.block_size();
  const std::uint64_t end = inode_->size / block_size + (inode_->size % block_size == 0 ? 0 : 1);
  if (extent.end() > end) context_.report.add(FindingId::extent_past_end, number_, std::max(extent.file_block, end));
}

bool ItemChecker::is_listed_orphan() const {
  const auto found =
      std::lower_bound(context_.orphans.begin(), context_.orphans.end(), number_,
                       [](const OrphanRecord& record, std::uint64_t number) { return record.number < number; });
  return found != context_.orphans.end() && found->number == number_;
}

void ItemChecker::take_dirents(const Key& key, std::span<const std::byte> value) {
  if (inode_ && !S_ISDIR(inode_->mode)) context_.report.add(FindingId::item_misplaced, number_, name_of(key.kind));
  format::DirentCursor cursor(value, format::DirentCursor::Names::any);
  std::vector<std::string_view> seen;  // equal names have equal hashes, so they meet here
  while (const std::optional<format::Dirent> entry = cursor.next()) {
    if (!format::is_dirent_name(entry->name)) context_.report.add(FindingId::name_bad, number_);
    if (format::hash_name(entry->name, context_.superblock.hash_seed) != key.offset) {
      context_.report.add(FindingId::name_hash_wrong, number_);
    }
    if (std::find(seen.begin(), seen.end(), entry->name) != seen.end())
      context_.report.add(FindingId::name_twice, number_);
    seen.push_back(entry->name);
    if (inode_ && S_ISDIR(inode_->mode)) ++found_entries_;
    context_.remember(NameRecord{number_, entry->inode.value(), entry->type});
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
    if (xattr->value_id && !apart_.try_emplace(*xattr->value_id, ApartValue{xattr->value_size, 0}).second) {
      context_.report.add(FindingId::xattr_malformed, number_);  // two attributes share a value
    }
  }
  if (cursor.malformed()) context_.report.add(FindingId::xattr_malformed, number_);
}

void ItemChecker::take_xattr_part(const Key& key, std::span<const std::byte> value) {
  if (is_being_removed()) return;
  const auto owner = apart_.find(key.offset >> format::kXattrPartBits);
  if (owner == apart_.end()) return malformed(key);
  ApartValue& whole = owner->second;
  const std::uint64_t part = key.offset & ((1U << format::kXattrPartBits) - 1);
  if (part != whole.next_part || value.size() > whole.missing) return malformed(key);
  ++whole.next_part;
  whole.missing -= value.size();
}

void ItemChecker::take_orphan(const Key& key, std::span<const std::byte> value) {
  const Result<format::OrphanItem> orphan = format::parse_orphan(value);
  if (!orphan) return malformed(key);
  context_.orphans.push_back({key.offset, format::OrphanReason{orphan->reason}});
}

}  // namespace ashlar::fsck
