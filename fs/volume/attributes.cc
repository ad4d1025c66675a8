// Attributes of inodes.
#include <linux/fs.h>

#include <mutex>
#include <shared_mutex>

#include "fs/volume/acl.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"
#include "fs/volume/xattrs.h"

namespace ashlar::volume {
namespace {

constexpr std::uint32_t kPermissions = 07777;
// What chattr may set here.
constexpr std::uint32_t kSettableFlags =
    FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL | FS_NOCOW_FL;

// All but the size.
void apply(const AttributeChange& change, format::InodeItem& item, const timespec& now) noexcept {
  using Field = AttributeChange::Field;
  // Who gives a size and no times keeps the times (the kernel does with write-back caching), and has not moved them for
  // the size that the file had.
  if (change.has(Field::size_field) && change.size != item.size) contents_changed(item, now);
  const bool other_owner = change.has(Field::uid_field) || change.has(Field::gid_field);
  if (change.has(Field::clear_suid_sgid) || (other_owner && !S_ISDIR(item.mode))) clear_suid_sgid(item);
  if (change.has(Field::mode_field)) item.mode = (item.mode & ~kPermissions) | (change.mode & kPermissions);
  if (change.has(Field::uid_field)) item.uid = change.uid;
  if (change.has(Field::gid_field)) item.gid = change.gid;
  if (change.has(Field::accessed_field)) item.accessed = to_item(change.accessed);
  if (change.has(Field::modified_field)) item.modified = to_item(change.modified);
  status_changed(item, change.has(Field::changed_field) ? change.changed : now);
}

bool is_now(const timespec& time, const timespec& now) noexcept {
  return time.tv_sec == now.tv_sec && time.tv_nsec == now.tv_nsec;
}

Status check_change(const Inode& inode, const AttributeChange& change, const timespec& now) {
  using Field = AttributeChange::Field;
  // The kernel may still bring the times of what was written before the flag came.
  constexpr std::uint32_t kLateTimes = Field::modified_field | Field::changed_field;
  if (is_immutable(inode.item) && change.fields != kLateTimes) return fail(ErrorCode::not_permitted);
  constexpr std::uint32_t kNotAppending = Field::mode_field | Field::uid_field | Field::gid_field;
  const bool shrinks = change.has(Field::size_field) && change.size < inode.item.size;
  if (is_protected(inode.item) && ((change.fields & kNotAppending) != 0 || shrinks)) {
    return fail(ErrorCode::not_permitted);
  }
  // utimensat(2): times of their own choice are for the owner of a file that may change. (What else moves the times of
  // an append-only file comes without the access time.)
  if (is_protected(inode.item) && change.has(Field::accessed_field) && !is_now(change.accessed, now)) {
    return fail(ErrorCode::not_permitted);
  }
  for (const timespec& time : {change.accessed, change.modified, change.changed}) {
    if (time.tv_nsec < 0 || time.tv_nsec >= 1'000'000'000) return fail(ErrorCode::invalid_argument);
  }
  return {};
}

Result<Attributes> change_attributes(VolumeState& volume, Context& context, Inode& inode,
                                     const AttributeChange& change) {
  using Field = AttributeChange::Field;
  const std::lock_guard lock(inode.lock);
  TRY(check_change(inode, change, context.now));
  const bool sized = change.has(Field::size_field);
  if (sized) TRY(prepare_resize(volume, context.io, inode, change.size));
  StagedInode staged(inode);
  store::Transaction transaction;
  apply(change, staged.next, context.now);
  if (change.has(Field::mode_field)) TRY(follow_mode(volume, context.io, staged, transaction));
  if (sized || change.has(Field::uid_field) || change.has(Field::gid_field)) {
    TRY(drop_capabilities(volume, context.io, staged, transaction));
  }
  if (sized) {
    TRY(resize(volume, context.io, staged, change.size, transaction));
  } else {
    TRY(commit(volume, context.io, transaction, {&staged}));
  }
  return to_attributes(volume, inode.number(), inode.item);
}

}  // namespace

Result<Attributes> Volume::attributes(Context& context, InodeNumber number) {
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  return read_attributes(*state_, *inode);
}

Result<Attributes> Volume::set_attributes(Context& context, InodeNumber number, const AttributeChange& change) {
  TRY(check_writable(*state_));
  const bool sized = change.has(AttributeChange::size_field);
  const InodeRef inode = sized ? TRY(acquire_regular(*state_, context.io, number))
                               : TRY(state_->inodes.acquire(context.io, number));
                               return with_space_retry(*state_, context.io, [&] {
                                 return change_attributes(*state_, context, *inode, change);
                               });
}

Result<std::uint32_t> Volume::inode_flags(Context& context, InodeNumber number) {
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  const std::shared_lock lock(inode->lock);
  return inode->item.flags.value();
}

Status Volume::set_inode_flags(Context& context, InodeNumber number, std::uint32_t flags) {
  TRY(check_writable(*state_));
  if ((flags & ~kSettableFlags) != 0) return fail(ErrorCode::not_supported);
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  if (!inode->is_directory() && !inode->is_regular()) return fail(ErrorCode::not_supported);
  const std::lock_guard lock(inode->lock);
  StagedInode staged(*inode);
  store::Transaction transaction;
  staged.next.flags = flags;
  status_changed(staged.next, context.now);
  return commit(*state_, context.io, transaction, {&staged});
}

}  // namespace ashlar::volume
