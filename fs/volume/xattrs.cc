// Extended attributes. Small values lie with their name in one item; large ones apart, in parts.
#include "fs/volume/xattrs.h"

#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "fs/format/node.h"
#include "fs/volume/acl.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

constexpr std::uint64_t kMaxParts = 1U << format::kXattrPartBits;
constexpr std::uint64_t kMaxValueId = (1ULL << (64 - format::kXattrPartBits)) - 1;
constexpr std::string_view kCapabilities = "security.capability";

tl::unexpected<Error> malformed() { return fail(ErrorCode::corrupt_structure, "malformed extended attribute"); }

format::Key value_part_key(InodeNumber inode, std::uint64_t id, std::uint64_t part) noexcept {
  return {inode, format::ItemKind::xattr_value, id << format::kXattrPartBits | part};
}

Status check_xattr_name(std::string_view name) {
  if (name.size() > format::kMaxNameLength) return fail(ErrorCode::out_of_range);
  if (name.empty() || name.find('\0') != std::string_view::npos) return fail(ErrorCode::invalid_argument);
  if (name == kAccessAcl || name == kDefaultAcl) return {};
  for (const std::string_view space : {"user.", "trusted.", "security."}) {
    if (name.starts_with(space)) return name == space ? Status(fail(ErrorCode::invalid_argument)) : Status();
  }
  return fail(ErrorCode::not_supported);
}

// The item that holds a name, and the entry in it. Reading needs the inode's lock shared, changing exclusively.
class XattrItem {
 public:
  XattrItem(VolumeState& volume, blockio::IoQueue& io, InodeNumber inode, std::string_view name)
      : volume_(volume), io_(io), key_{inode, format::ItemKind::xattr, volume.hash(name)}, name_(name) {}

  Status load();
  [[nodiscard]] bool found() const noexcept { return entry_.has_value(); }
  Result<std::string> value() const;
  // Both change the item in memory and stage it with the parts of values that lie apart.
  void remove(store::Transaction& transaction);
  Status add(store::Transaction& transaction, std::span<const std::byte> value, UnusedValueIds& ids);

 private:
  struct Entry {
    std::size_t offset = 0;
    std::size_t size = 0;
    std::uint32_t value_size = 0;
    std::optional<std::uint64_t> value_id;
  };

  [[nodiscard]] std::size_t part_size() const noexcept { return format::max_value_size(volume_.node_size); }
  [[nodiscard]] std::uint64_t part_count(std::size_t value_size) const noexcept {
    return (value_size + part_size() - 1) / part_size();
  }
  [[nodiscard]] format::Key part_key(std::uint64_t id, std::uint64_t part) const noexcept {
    return value_part_key(key_.inode, id, part);
  }
  void stage(store::Transaction& transaction);

  VolumeState& volume_;
  blockio::IoQueue& io_;
  const format::Key key_;
  const std::string_view name_;
  store::ItemValue item_;
  bool existed_ = false;
  std::optional<Entry> entry_;
};

Status XattrItem::load() {
  existed_ = TRY(volume_.store->get(io_, key_, item_));
  if (!existed_) item_.clear();
  format::XattrCursor cursor(item_);
  std::size_t offset = 0;
  while (const auto xattr = cursor.next()) {
    const std::size_t size = sizeof(format::XattrEntry) + xattr->name.size() + xattr->value.size();
    if (xattr->name == name_) {
      entry_ = Entry{offset, size, xattr->value_size, xattr->value_id};
      if (entry_->value_id && (*entry_->value_id > kMaxValueId || part_count(entry_->value_size) > kMaxParts)) {
        return malformed();
      }
      return {};
    }
    offset += size;
  }
  if (cursor.malformed()) return malformed();
  return {};
}

Result<std::string> XattrItem::value() const {
  std::string result;
  if (!entry_->value_id) {
    const std::size_t at = entry_->offset + entry_->size - entry_->value_size;
    result.assign(reinterpret_cast<const char*>(item_.data()) + at, entry_->value_size);
    return result;
  }
  store::ItemValue part;
  for (std::uint64_t i = 0; i < part_count(entry_->value_size); ++i) {
    if (!TRY(volume_.store->get(io_, part_key(*entry_->value_id, i), part))) return malformed();
    result.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
  if (result.size() != entry_->value_size) return malformed();
  return result;
}

void XattrItem::stage(store::Transaction& transaction) {
  if (!item_.empty()) {
    transaction.put(key_, item_);
  } else if (existed_) {
    transaction.erase(key_);
  }
}

void XattrItem::remove(store::Transaction& transaction) {
  if (entry_->value_id) {
    for (std::uint64_t i = 0; i < part_count(entry_->value_size); ++i) {
      transaction.erase(part_key(*entry_->value_id, i));
    }
  }
  const auto begin = item_.begin() + static_cast<std::ptrdiff_t>(entry_->offset);
  item_.erase(begin, begin + static_cast<std::ptrdiff_t>(entry_->size));
  entry_.reset();
  stage(transaction);
}

Status XattrItem::add(store::Transaction& transaction, std::span<const std::byte> value, UnusedValueIds& ids) {
  const std::size_t most = format::max_value_size(volume_.node_size);
  const std::size_t without_value = item_.size() + sizeof(format::XattrEntry) + name_.size();
  if (without_value > most) return fail(ErrorCode::no_space, "too many attributes share a hash");
  const bool apart = value.size() > most / 2 || value.size() > most - without_value;

  format::XattrEntry entry{};
  entry.name_length = static_cast<std::uint16_t>(name_.size());
  entry.value_size = static_cast<std::uint32_t>(value.size());
  if (apart) {
    if (part_count(value.size()) > kMaxParts) return fail(ErrorCode::no_space, "attribute too large for this volume");
    const std::uint64_t id = TRY(ids.take());
    entry.flags = format::kXattrValueApart;
    entry.value_id = id;
    for (std::uint64_t i = 0; !value.empty(); ++i) {
      const auto part = value.first(std::min(value.size(), part_size()));
      transaction.put(part_key(id, i), part);
      value = value.subspan(part.size());
    }
  }
  const auto head = std::as_bytes(std::span(&entry, 1));
  const auto text = std::as_bytes(std::span(name_));
  item_.insert(item_.end(), head.begin(), head.end());
  item_.insert(item_.end(), text.begin(), text.end());
  item_.insert(item_.end(), value.begin(), value.end());
  stage(transaction);
  return {};
}

// What setting an access control list means beyond keeping it. True when the attribute is to be kept.
Result<bool> apply_acl(StagedInode& staged, std::string_view name, std::span<const std::byte> value) {
  const Acl acl = TRY(Acl::parse(value));
  if (S_ISLNK(staged.next.mode)) return fail(ErrorCode::not_supported);
  if (name == kDefaultAcl) {
    if (!staged.inode().is_directory()) return fail(ErrorCode::access_denied);
    return true;
  }
  constexpr std::uint32_t kClasses = 0777;
  staged.next.mode = (staged.next.mode & ~kClasses) | acl.permissions();
  return !acl.is_plain();
}

// A removal by name, for whoever holds the lock; true when there was one.
Result<bool> remove_staged(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged, std::string_view name,
                           store::Transaction& transaction) {
  XattrItem item(volume, io, staged.inode().number(), name);
  TRY(item.load());
  if (!item.found()) return false;
  item.remove(transaction);
  if (staged.next.xattrs > 0) staged.next.xattrs = staged.next.xattrs - 1;
  return true;
}

struct Setting {
  std::string_view name;
  std::span<const std::byte> value;
  int flags = 0;
};

Status set_locked(VolumeState& volume, Context& context, Inode& inode, const Setting& setting) {
  const std::lock_guard lock(inode.lock);
  if (is_protected(inode.item)) return fail(ErrorCode::not_permitted);
  TRY(check_xattr_name(setting.name));
  XattrItem item(volume, context.io, inode.number(), setting.name);
  TRY(item.load());
  if (item.found() && (setting.flags & XATTR_CREATE) != 0) return fail(ErrorCode::already_exists);
  if (!item.found() && (setting.flags & XATTR_REPLACE) != 0) return fail(ErrorCode::no_attribute);
  StagedInode staged(inode);
  store::Transaction transaction;
  const bool is_acl = setting.name == kAccessAcl || setting.name == kDefaultAcl;
  const bool kept = !is_acl || TRY(apply_acl(staged, setting.name, setting.value));
  if (kept) {
    UnusedValueIds ids(volume, context.io, inode.number());
    TRY(stage_xattr(volume, context.io, inode.number(), staged.next, {setting.name, setting.value}, ids, transaction));
  } else {
    TRY(remove_staged(volume, context.io, staged, setting.name, transaction));
  }
  // chmod(2) has the same rule.
  if (setting.name == kAccessAcl && (staged.next.mode & S_ISGID) != 0 && !is_in_group(context, staged.next.gid)) {
    staged.next.mode = staged.next.mode & ~static_cast<std::uint32_t>(S_ISGID);
  }
  status_changed(staged.next, context.now);
  return commit(volume, context.io, transaction, {&staged},
                kept ? store::CommitKind::ordinary : store::CommitKind::replacing);
}

Status remove_xattr_locked(VolumeState& volume, Context& context, Inode& inode, std::string_view name) {
  const std::lock_guard lock(inode.lock);
  if (is_protected(inode.item)) return fail(ErrorCode::not_permitted);
  TRY(check_xattr_name(name));
  StagedInode staged(inode);
  store::Transaction transaction;
  if (!TRY(remove_staged(volume, context.io, staged, name, transaction))) {
    // A list that is not there is what whoever removes it wants; so the kernel's filesystems have it.
    if (name == kAccessAcl || name == kDefaultAcl) return {};
    return fail(ErrorCode::no_attribute);
  }
  status_changed(staged.next, context.now);
  return commit(volume, context.io, transaction, {&staged}, store::CommitKind::freeing);
}

}  // namespace

Status drop_capabilities(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged,
                         store::Transaction& transaction) {
  if (staged.next.xattrs == 0) return {};
  TRY(remove_staged(volume, io, staged, kCapabilities, transaction));
  return {};
}

Result<std::optional<std::string>> read_xattr(VolumeState& volume, blockio::IoQueue& io, InodeNumber number,
                                              std::string_view name) {
  XattrItem item(volume, io, number, name);
  TRY(item.load());
  if (!item.found()) return std::nullopt;
  return TRY(item.value());
}

Result<std::uint64_t> UnusedValueIds::take() {
  if (!next_) {
    format::Key highest;
    store::ItemValue ignored;
    const bool any = TRY(volume_.store->floor(io_, value_part_key(inode_, 0, 0),
                                              value_part_key(inode_, kMaxValueId, kMaxParts - 1), highest, ignored));
    next_ = any ? (highest.offset >> format::kXattrPartBits) + 1 : 0;
  }
  if (*next_ > kMaxValueId) return fail(ErrorCode::no_space);
  return (*next_)++;
}

Status stage_xattr(VolumeState& volume, blockio::IoQueue& io, InodeNumber number, format::InodeItem& item,
                   const StagedXattr& xattr, UnusedValueIds& ids, store::Transaction& transaction) {
  XattrItem attribute(volume, io, number, xattr.name);
  TRY(attribute.load());
  if (attribute.found()) {
    attribute.remove(transaction);
  } else {
    item.xattrs = item.xattrs + 1;
  }
  return attribute.add(transaction, xattr.value, ids);
}

Result<std::string> Volume::get_xattr(Context& context, InodeNumber number, std::string_view name) {
  TRY(check_xattr_name(name));
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  const std::shared_lock lock(inode->lock);
  if (inode->item.xattrs == 0) return fail(ErrorCode::no_attribute);
  auto value = TRY(read_xattr(*state_, context.io, number, name));
  if (!value) return fail(ErrorCode::no_attribute);
  return *std::move(value);
}

Status Volume::set_xattr(Context& context, InodeNumber number, std::string_view name, std::span<const std::byte> value,
                         int flags) {
  if (value.size() > format::kMaxXattrValue) return fail(ErrorCode::argument_too_large);
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return fail(ErrorCode::invalid_argument);
  TRY(check_writable(*state_));
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  return with_space_retry(*state_, context.io, [&] {
    return set_locked(*state_, context, *inode, {name, value, flags});
  });
}

Status Volume::remove_xattr(Context& context, InodeNumber number, std::string_view name) {
  TRY(check_writable(*state_));
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  return with_space_retry(*state_, context.io, [&] { return remove_xattr_locked(*state_, context, *inode, name); });
}

Result<std::string> Volume::list_xattrs(Context& context, InodeNumber number) {
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  const std::shared_lock lock(inode->lock);
  std::string names;
  bool sound = true;
  const auto too_long = [&] { return names.size() > XATTR_LIST_MAX; };
  if (inode->item.xattrs == 0) return names;
  TRY(state_->store->scan(context.io, {number, format::ItemKind::xattr, 0}, {number, format::ItemKind::xattr, ~0ULL},
                          [&](const format::Key&, std::span<const std::byte> value) {
                            format::XattrCursor cursor(value);
                            while (const auto xattr = cursor.next()) {
                              names.append(xattr->name);
                              names.push_back('\0');
                            }
                            sound = sound && !cursor.malformed();
                            return sound && !too_long();
                          }));
  if (!sound) return malformed();
  if (too_long()) return fail(ErrorCode::argument_too_large);  // as listxattr(2) has it
  return names;
}

}  // namespace ashlar::volume
