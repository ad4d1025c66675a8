#include "fsck/item_filter.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace ashlar::fsck {

using format::ItemKind;
using format::Key;

namespace {

constexpr std::uint64_t kMaxSize = ~0ULL >> 1;  // of a file

template <typename Head>
void append(std::vector<std::byte>& bytes, const Head& head, std::string_view name) {
  const auto head_bytes = std::as_bytes(std::span(&head, 1));
  bytes.insert(bytes.end(), head_bytes.begin(), head_bytes.end());
  const auto name_bytes = std::as_bytes(std::span(name));
  bytes.insert(bytes.end(), name_bytes.begin(), name_bytes.end());
}

format::InodeItem new_root() {
  format::InodeItem item{};
  item.mode = S_IFDIR | 0755;
  item.links = 2;
  item.parent = kRootInode.value();
  return item;
}

}  // namespace

ItemFilter::ItemFilter(const CheckContext& context, CheckContext& records, RepairPlan& plan, Task task,
                       ItemVisitor sink)
    : context_(context),
      records_(records),
      plan_(plan),
      task_(task),
      sink_(std::move(sink)),
      longest_value_(format::max_value_size(context.layout.node_size())),
      kept_(context.layout) {}

Status ItemFilter::hand_on(const Key& key, std::span<const std::byte> value) {
  ++handed_on_;
  return learning() ? Status{} : sink_(key, value);
}

Status ItemFilter::hand_on_rest(const Key& key, std::span<const std::byte> value, std::span<const std::byte> rest) {
  if (!std::ranges::equal(value, rest)) plan_.changes_items = true;
  return rest.empty() ? Status{} : hand_on(key, rest);
}

Status ItemFilter::take(const Key& key, std::span<const std::byte> value) {
  ++taken_;
  if (value.size() > longest_value_ || key.inode.value() >= format::kInodeNumberLimit) return {};
  if (key.inode == format::kOrphanOwner) return key.kind == ItemKind::orphan ? take_orphan(key, value) : Status{};
  TRY(ensure_root(key, value));
  if (key.inode.value() != number_) end_inode();
  if (key.kind != ItemKind::inode) return inode_ ? take_of_inode(key, value) : Status{};
  if (inode_ || key.offset != 0) return {};  // the root that was made for one that is damaged
  const Result<format::InodeItem> item = format::parse_inode(value);
  return item ? begin_inode(key, *item) : Status{};
}

Status ItemFilter::finish() {
  TRY(ensure_root({InodeNumber{format::kInodeNumberLimit}, ItemKind::inode, 0}, {}));
  end_inode();
  if (task_ == Task::learn && taken_ != handed_on_) plan_.changes_items = true;
  return {};
}

// Without a root directory nothing has a place: an empty one takes its place in time for its entries.
Status ItemFilter::ensure_root(const Key& key, std::span<const std::byte> value) {
  if (root_seen_) return {};
  root_seen_ = true;
  if (key.inode == kRootInode && key.kind == ItemKind::inode && key.offset == 0) {
    const Result<format::InodeItem> item = format::parse_inode(value);
    if (item && S_ISDIR(item->mode)) return {};
  }
  plan_.changes_items = true;
  return begin_inode({kRootInode, ItemKind::inode, 0}, new_root());
}

Status ItemFilter::take_orphan(const Key& key, std::span<const std::byte> value) {
  const Result<format::OrphanItem> orphan = format::parse_orphan(value);
  if (!orphan) return {};
  if (task_ == Task::learn) records_.orphans.push_back({key.offset, format::OrphanReason{orphan->reason}});
  return plan_.dropped_orphans.contains(key.offset) ? Status{} : hand_on(key, value);
}

Status ItemFilter::begin_inode(const Key& key, const format::InodeItem& item) {
  inode_ = item;
  number_ = key.inode.value();
  const std::vector<OrphanRecord>& orphans = records_.orphans;
  const auto orphan =
      std::lower_bound(orphans.begin(), orphans.end(), number_,
                       [](const OrphanRecord& record, std::uint64_t number) { return record.number < number; });
  is_truncated_ =
      orphan != orphans.end() && orphan->number == number_ && orphan->reason == format::OrphanReason::truncated;
  if (learning()) {
    plan_.next_inode = std::max(plan_.next_inode, number_ + 1);
    // Directories are remembered the first time.
    if (task_ == Task::learn || !S_ISDIR(item.mode)) records_.remember(record_of(key.inode, item));
    return hand_on(key, std::as_bytes(std::span(&item, 1)));
  }
  format::InodeItem fixed = item;
  if (const InodeFix* const fix = plan_.planned_for(number_)) {
    fixed.size = fix->size.value_or(fixed.size);
    fixed.blocks = fix->blocks.value_or(fixed.blocks);
    fixed.entries = fix->entries.value_or(fixed.entries);
    fixed.parent = fix->parent.value_or(fixed.parent);
    fixed.links = fix->links.value_or(fixed.links);
    fixed.xattrs = fix->xattrs.value_or(fixed.xattrs);
  }
  return hand_on(key, std::as_bytes(std::span(&fixed, 1)));
}

void ItemFilter::end_inode() {
  if (inode_ && task_ == Task::learn) learn_inode();
  inode_.reset();
  extent_end_ = size_needed_ = extent_blocks_ = 0;
  content_bytes_.reset();
  has_dropped_extent_ = false;
  xattrs_ = 0;
  apart_.clear();
}

void ItemFilter::learn_inode() {
  std::uint32_t xattrs = xattrs_;
  for (const auto& [id, value] : apart_) {
    if (value.missing == 0 || inode_->links == 0) continue;
    if (plan_.admit()) plan_.broken_values.emplace(number_, id);
    --xattrs;
  }
  std::uint64_t size = inode_->size;
  if (inode_->links != 0) size = std::max(size, size_needed_);
  if (content_bytes_ || S_ISLNK(inode_->mode)) size = content_bytes_.value_or(0);
  const bool resizes = size != inode_->size && inode_->links != 0;
  if (resizes || inode_->blocks != extent_blocks_ || inode_->xattrs != xattrs) {
    if (InodeFix* const fix = plan_.fix_of(number_)) {
      if (resizes) fix->size = size;
      fix->blocks = extent_blocks_;
      fix->xattrs = xattrs;
    }
  }
  note_losses(xattrs);
}

void ItemFilter::note_losses(std::uint32_t xattrs) {
  const Key first{InodeNumber{number_}, ItemKind::dirent, 0};
  const Key last{InodeNumber{number_}, ItemKind{format::kItemKindLimit}, 0};
  const bool is_lost = context_.lost.touches(first, last);
  const bool may_lack = is_lost || has_dropped_extent_;
  if (inode_->links == 0 || plan_.given_up.size() >= Report::kMaxPaths) return;
  const std::uint32_t mode = inode_->mode;
  if (S_ISREG(mode) && may_lack && inode_->blocks > extent_blocks_) {
    plan_.given_up[number_] = fmt::format("{} blocks, which read as zeros", inode_->blocks - extent_blocks_);
  } else if (S_ISREG(mode) && is_lost && inode_->size != 0 && inode_->blocks == 0 && !content_bytes_) {
    plan_.given_up[number_] = "what it held, if anything, which reads as zeros";
  } else if (S_ISLNK(mode) && is_lost && inode_->size != content_bytes_.value_or(0)) {
    plan_.given_up[number_] = "its target";
  }
  if ((!is_lost && xattrs == xattrs_) || inode_->xattrs <= xattrs) return;
  std::string& what = plan_.given_up[number_];
  what += what.empty() ? "extended attributes" : "; extended attributes";
}

Status ItemFilter::take_of_inode(const Key& key, std::span<const std::byte> value) {
  const std::uint32_t mode = inode_->mode;
  if (task_ == Task::learn_more && key.kind != ItemKind::dirent) return {};
  switch (key.kind) {
    case ItemKind::dirent: return S_ISDIR(mode) ? take_dirents(key, value) : Status{};
    case ItemKind::xattr: return take_xattrs(key, value);
    case ItemKind::xattr_value: return take_xattr_part(key, value);
    case ItemKind::extent: return S_ISREG(mode) ? take_extent(key, value) : Status{};
    case ItemKind::inline_data: return S_ISREG(mode) && extent_blocks_ == 0 ? take_content(key, value) : Status{};
    case ItemKind::symlink: return S_ISLNK(mode) ? take_content(key, value) : Status{};
    default: return {};
  }
}

Status ItemFilter::take_dirents(const Key& key, std::span<const std::byte> value) {
  format::DirentCursor cursor(value, format::DirentCursor::Names::any);
  std::vector<std::string_view> seen;
  std::vector<std::byte> kept;
  while (const std::optional<format::Dirent> entry = cursor.next()) {
    if (!format::is_dirent_name(entry->name) ||
        format::hash_name(entry->name, context_.superblock.hash_seed) != key.offset ||
        std::find(seen.begin(), seen.end(), entry->name) != seen.end()) {
      continue;
    }
    seen.push_back(entry->name);
    std::uint8_t type = entry->type;
    if (!keep_name(*entry, type)) continue;
    format::DirentEntry head{};
    head.inode = entry->inode.value();
    head.name_length = static_cast<std::uint16_t>(entry->name.size());
    head.type = type;
    append(kept, head, entry->name);
  }
  return hand_on_rest(key, value, kept);
}

bool ItemFilter::keep_name(const format::Dirent& entry, std::uint8_t& type) {
  const std::uint64_t target = entry.inode.value();
  if (learning()) {
    records_.remember(NameRecord{number_, target, entry.type});
    if (number_ == kRootInode.value() && entry.name == kLostFound) plan_.lost_found = target;
    return true;
  }
  NameFix* const fix = plan_.planned_for_names(target);
  if (fix == nullptr) return true;
  type = fix->type.value_or(type);
  if (fix->gone) return false;
  return !fix->only_in || (*fix->only_in == number_ && !std::exchange(fix->met, true));
}

Status ItemFilter::take_xattrs(const Key& key, std::span<const std::byte> value) {
  format::XattrCursor cursor(value);
  std::vector<std::byte> kept;
  while (const std::optional<format::Xattr> xattr = cursor.next()) {
    if (format::hash_name(xattr->name, context_.superblock.hash_seed) != key.offset) continue;
    if (xattr->value_id) {
      if (!learning() && plan_.broken_values.contains({number_, *xattr->value_id})) continue;
      if (!apart_.try_emplace(*xattr->value_id, ApartValue{xattr->value_size, 0}).second) continue;
    }
    ++xattrs_;
    format::XattrEntry head{};
    head.name_length = static_cast<std::uint16_t>(xattr->name.size());
    head.flags = xattr->value_id ? format::kXattrValueApart : std::uint8_t{0};
    head.value_size = xattr->value_size;
    head.value_id = xattr->value_id.value_or(0);
    append(kept, head, xattr->name);
    kept.insert(kept.end(), xattr->value.begin(), xattr->value.end());
  }
  return hand_on_rest(key, value, kept);
}

Status ItemFilter::take_xattr_part(const Key& key, std::span<const std::byte> value) {
  if (inode_->links == 0) return hand_on(key, value);  // half removed
  const auto owner = apart_.find(key.offset >> format::kXattrPartBits);
  if (owner == apart_.end()) return {};
  ApartValue& whole = owner->second;
  const std::uint64_t part = key.offset & ((1U << format::kXattrPartBits) - 1);
  if (part != whole.next_part || value.size() > whole.missing) return {};
  ++whole.next_part;
  whole.missing -= value.size();
  return hand_on(key, value);
}

// Of two that want the same block, the first in the order of inodes has it.
Status ItemFilter::take_extent(const Key& key, std::span<const std::byte> value) {
  const Result<format::Extent> extent = format::parse_extent(key, value, context_.layout.block_count());
  const bool had_dropped = has_dropped_extent_;
  has_dropped_extent_ = true;  // unless it is kept
  if (!extent || extent->file_block < extent_end_ || extent->end() > kMaxSize / context_.layout.block_size()) return {};
  const BlockRun run{extent->physical, extent->count};
  if (context_.layout.touches_fixed(run) || kept_.first_taken(run)) return {};
  has_dropped_extent_ = had_dropped;
  static_cast<void>(kept_.claim(run));
  extent_end_ = extent->end();
  extent_blocks_ += extent->count;
  const std::uint64_t block_size = context_.layout.block_size();
  const std::uint64_t size = inode_->size;
  const bool past_end = extent->end() > size / block_size + (size % block_size == 0 ? 0 : 1);
  if (past_end && !extent->unwritten() && !is_truncated_) size_needed_ = extent->end() * block_size;
  return hand_on(key, value);
}

// A long target is in parts, of which all but the last are as large as an item may be.
Status ItemFilter::take_content(const Key& key, std::span<const std::byte> value) {
  if (inode_->links == 0) return hand_on(key, value);  // half removed
  const std::uint64_t bytes = content_bytes_.value_or(0);
  const bool is_target = key.kind == ItemKind::symlink;
  if (key.offset != (is_target ? bytes / longest_value_ : 0)) return {};
  if (is_target && bytes + value.size() > format::kMaxSymlinkLength) return {};
  content_bytes_ = bytes + value.size();
  return hand_on(key, value);
}

}  // namespace ashlar::fsck
