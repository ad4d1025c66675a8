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
void apply(const AttributeChange& change, format::InodeItem& item, const Context& context) {
  using Field = AttributeChange::Field;
  constexpr std::uint32_t kOthers = ~(Field::size_field | Field::clear_suid_sgid | Field::from_open_file);
  // Who gives a size and no times keeps the times (the kernel does with write-back caching), and has not moved them for
  // the size that the file had.
  if (change.has(Field::size_field) && change.size != item.size) contents_changed(item, context.now);
  const bool other_owner = change.has(Field::uid_field) || change.has(Field::gid_field);
  if (change.has(Field::clear_suid_sgid) || (other_owner && !S_ISDIR(item.mode))) clear_suid_sgid(item, context);
  if (change.has(Field::mode_field)) item.mode = (item.mode & ~kPermissions) | (change.mode & kPermissions);
  if (change.has(Field::uid_field)) item.uid = change.uid;
  if (change.has(Field::gid_field)) item.gid = change.gid;
  if (change.has(Field::accessed_field)) item.accessed = to_item(change.accessed);
  if (change.has(Field::modified_field)) item.modified = to_item(change.modified);
  if (change.has(Field::changed_field)) {
    status_changed(item, change.changed);
  } else if ((change.fields & kOthers) != 0) {
    status_changed(item, context.now);
  }
}

bool equal(const timespec& left, const timespec& right) noexcept {
  return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

// Whether the kernel brings the times of what it did before: to the contents, through who has them open to write; or
// what moved the change time alone (a new name, an attribute). utimensat(2) looks the same but for that.
bool brings_times(const AttributeChange& change, const format::InodeItem& item) noexcept {
  using Field = AttributeChange::Field;
  constexpr std::uint32_t kTimes = Field::modified_field | Field::changed_field;
  if ((change.fields & ~static_cast<std::uint32_t>(Field::from_open_file)) != kTimes) return false;
  return change.has(Field::from_open_file) ||
         (equal(change.modified, to_timespec(item.modified)) && not_after(change.changed, to_timespec(item.changed)));
}

// utimensat(2) without times: both become the current one, of which the kernel's own copy of the modification time may
// lag behind ours.
bool touches(const AttributeChange& change, const timespec& now) noexcept {
  using Field = AttributeChange::Field;
  if (!change.has(Field::accessed_field) || !equal(change.accessed, now)) return false;
  return change.has(Field::changed_field) ? equal(change.modified, change.changed) : equal(change.modified, now);
}

// What the flags of ioctl_iflags(2) forbid: of an immutable file everything, of an append-only one what is not said to
// be allowed here.
Status check_flags(const format::InodeItem& item, const AttributeChange& change, const timespec& now) {
  using Field = AttributeChange::Field;
  if (!is_protected(item) || brings_times(change, item)) return {};
  if (is_immutable(item)) return fail(ErrorCode::not_permitted);
  constexpr std::uint32_t kForbidden = Field::mode_field | Field::uid_field | Field::gid_field | Field::size_field;
  constexpr std::uint32_t kTimes = Field::accessed_field | Field::modified_field;
  if ((change.fields & kForbidden) != 0) return fail(ErrorCode::not_permitted);
  if ((change.fields & kTimes) != 0 && !touches(change, now)) return fail(ErrorCode::not_permitted);
  return {};
}

Status check_change(const format::InodeItem& item, const AttributeChange& change, const timespec& now) {
  TRY(check_flags(item, change, now));
  for (const timespec& time : {change.accessed, change.modified, change.changed}) {
    if (time.tv_nsec < 0 || time.tv_nsec >= 1'000'000'000) return fail(ErrorCode::invalid_argument);
  }
  return {};
}

Status change_flags(VolumeState& volume, Context& context, Inode& inode, std::uint32_t flags) {
  const std::lock_guard lock(inode.lock);
  const std::uint32_t old = inode.item.flags.value();
  if ((flags & ~old & FS_DIRSYNC_FL) != 0 && !inode.is_directory()) return fail(ErrorCode::not_supported);
  // Of what stays immutable nothing else changes.
  if ((flags & old & FS_IMMUTABLE_FL) != 0 && flags != old) return fail(ErrorCode::not_permitted);
  StagedInode staged(inode);
  store::Transaction transaction;
  staged.next.flags = flags;
  status_changed(staged.next, context.now);
  return commit(volume, context.io, transaction, {&staged}, store::CommitKind::replacing);
}

Result<Attributes> change_attributes(VolumeState& volume, Context& context, Inode& inode,
                                     const AttributeChange& change) {
  using Field = AttributeChange::Field;
  const std::lock_guard lock(inode.lock);
  TRY(check_change(inode.item, change, context.now));
  const bool sized = change.has(Field::size_field);
  if (sized) TRY(prepare_resize(volume, context.io, inode, change.size));
  StagedInode staged(inode);
  store::Transaction transaction;
  apply(change, staged.next, context);
  if (change.has(Field::mode_field)) TRY(follow_mode(volume, context.io, staged, transaction));
  if (sized || change.has(Field::uid_field) || change.has(Field::gid_field)) {
    TRY(drop_capabilities(volume, context.io, staged, transaction));
  }
  if (sized) {
    TRY(resize(volume, context.io, staged, change.size, transaction));
  } else {
    TRY(commit(volume, context.io, transaction, {&staged}, store::CommitKind::replacing));
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
  const auto acquire = [&]() -> Result<InodeRef> {
    if (change.has(AttributeChange::size_field)) return acquire_regular(*state_, context.io, number);
    return state_->inodes.acquire(context.io, number);
  };
  const InodeRef inode = TRY(acquire());
  return with_space_retry(*state_, context.io, [&] { return change_attributes(*state_, context, *inode, change); });
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
  return with_space_retry(*state_, context.io, [&] { return change_flags(*state_, context, *inode, flags); });
}

}  // namespace ashlar::volume
