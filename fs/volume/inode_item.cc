#include "fs/volume/inode_item.h"

#include <fmt/core.h>
#include <linux/fs.h>

#include <mutex>
#include <shared_mutex>

namespace ashlar::volume {
namespace {

constexpr std::uint32_t kPermissions = 07777;
// What a new node has from its directory.
constexpr std::uint32_t kInheritedFlags = FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_NOCOW_FL;
constexpr std::uint32_t kInheritedByDirectories = FS_DIRSYNC_FL;

}  // namespace

format::TimeItem to_item(const timespec& time) noexcept {
  format::TimeItem item;
  item.seconds = static_cast<std::uint64_t>(time.tv_sec);
  item.nanoseconds = static_cast<std::uint32_t>(time.tv_nsec);
  return item;
}

timespec to_timespec(const format::TimeItem& time) noexcept {
  timespec result{};
  result.tv_sec = static_cast<time_t>(time.seconds.value());
  result.tv_nsec = static_cast<long>(time.nanoseconds.value());
  return result;
}

bool not_after(const timespec& left, const timespec& right) noexcept {
  return left.tv_sec != right.tv_sec ? left.tv_sec < right.tv_sec : left.tv_nsec <= right.tv_nsec;
}

Attributes to_attributes(const VolumeState& volume, InodeNumber number, const format::InodeItem& item) noexcept {
  constexpr std::uint64_t kStatBlock = 512;
  Attributes attributes;
  attributes.inode = number;
  attributes.generation = Generation{item.generation};
  attributes.mode = item.mode;
  attributes.links = item.links;
  attributes.uid = item.uid;
  attributes.gid = item.gid;
  // A directory's contents are items of the tree: it has no size of its own, and programs like to see some.
  attributes.size = S_ISDIR(item.mode) ? volume.block_size : item.size.value();
  attributes.blocks = item.blocks * (volume.block_size / kStatBlock);
  attributes.device = item.device;
  attributes.flags = item.flags;
  attributes.accessed = to_timespec(item.accessed);
  attributes.modified = to_timespec(item.modified);
  attributes.changed = to_timespec(item.changed);
  attributes.born = to_timespec(item.born);
  return attributes;
}

Attributes read_attributes(const VolumeState& volume, Inode& inode) {
  const std::shared_lock guard(inode.lock);
  return to_attributes(volume, inode.number(), with_access_time(inode));
}

format::InodeItem new_inode_item(const VolumeState& volume, const Context& context, const format::InodeItem& parent,
                                 const NewNode& node) noexcept {
  const bool directory = S_ISDIR(node.mode);
  const bool group_from_parent = (parent.mode & S_ISGID) != 0;
  format::InodeItem item{};
  item.mode = node.mode & (S_IFMT | kPermissions);
  if (directory && group_from_parent) item.mode = item.mode | S_ISGID;
  item.uid = context.uid;
  item.gid = group_from_parent ? parent.gid.value() : context.gid;
  // A number is given out twice when a crash undid that an inode was made, but not by two mounts of one generation.
  item.generation = volume.generation.value();
  item.flags = parent.flags & (kInheritedFlags | (directory ? kInheritedByDirectories : 0U));
  item.project = parent.project;
  if (S_ISCHR(node.mode) || S_ISBLK(node.mode)) item.device = node.device;
  item.accessed = item.modified = item.changed = item.born = to_item(context.now);
  return item;
}

Result<InodeNumber> new_inode_number(VolumeState& volume, blockio::IoQueue& io, store::Transaction& transaction) {
  const InodeNumber number = TRY(volume.store->new_inode_number(transaction));
  // In the leaf that the transaction is about to change.
  store::ItemValue value;
  if (TRY(volume.store->get(io, inode_key(number), value))) {
    return fail(ErrorCode::corrupt_structure, fmt::format("the new inode number {} is in use", number.value()));
  }
  return number;
}

void contents_changed(format::InodeItem& item, const timespec& now) noexcept {
  item.modified = to_item(now);
  item.changed = item.modified;
}

void status_changed(format::InodeItem& item, const timespec& now) noexcept { item.changed = to_item(now); }

void clear_suid_sgid(format::InodeItem& item, const Context& context) {
  std::uint32_t mode = item.mode & ~static_cast<std::uint32_t>(S_ISUID);
  const bool runs_as_group = (mode & S_IXGRP) != 0;
  if ((mode & S_ISGID) != 0 && (runs_as_group || !is_in_group(context, item.gid))) {
    mode &= ~static_cast<std::uint32_t>(S_ISGID);
  }
  item.mode = mode;
}

bool is_in_group(const Context& context, gid_t group) {
  if (context.in_group) return context.in_group(group);
  return context.uid == 0 || context.gid == group;
}

bool is_immutable(const format::InodeItem& item) noexcept { return (item.flags & FS_IMMUTABLE_FL) != 0; }

bool is_protected(const format::InodeItem& item) noexcept {
  return (item.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0;
}

void put_orphan(store::Transaction& transaction, InodeNumber number, Generation generation,
                format::OrphanReason reason) {
  format::OrphanItem orphan{};
  orphan.generation = generation.value();
  orphan.reason = static_cast<std::uint8_t>(reason);
  transaction.put_item(orphan_key(number), orphan);
}

}  // namespace ashlar::volume
