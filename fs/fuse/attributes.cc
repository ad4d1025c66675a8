// getattr, setattr.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

using volume::AttributeChange;

void get_attributes(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  const auto late_error = edge_of(request).late_errors->take(InodeNumber{inode});
  // Through an open file the kernel asks before it writes, and never when it reads: it trusts its own size and times.
  if (late_error && file != nullptr) return reply_error(request, Error(*late_error));
  volume::Context context = context_of(request);
  reply_attributes(request, volume_of(request).attributes(context, InodeNumber{inode}));
}

AttributeChange to_change(const struct stat& status, int valid, const timespec& now) {
  AttributeChange change;
  const auto take = [&](int flag, AttributeChange::Field field) {
    if ((valid & flag) == 0) return false;
    change.fields |= field;
    return true;
  };
  if (take(FUSE_SET_ATTR_MODE, AttributeChange::mode_field)) change.mode = status.st_mode;
  if (take(FUSE_SET_ATTR_UID, AttributeChange::uid_field)) change.uid = status.st_uid;
  if (take(FUSE_SET_ATTR_GID, AttributeChange::gid_field)) change.gid = status.st_gid;
  if (take(FUSE_SET_ATTR_SIZE, AttributeChange::size_field)) change.size = static_cast<std::uint64_t>(status.st_size);
  if (take(FUSE_SET_ATTR_ATIME, AttributeChange::accessed_field)) change.accessed = status.st_atim;
  if (take(FUSE_SET_ATTR_MTIME, AttributeChange::modified_field)) change.modified = status.st_mtim;
  if (take(FUSE_SET_ATTR_CTIME, AttributeChange::changed_field)) change.changed = status.st_ctim;
  if (take(FUSE_SET_ATTR_ATIME_NOW, AttributeChange::accessed_field)) change.accessed = now;
  if (take(FUSE_SET_ATTR_MTIME_NOW, AttributeChange::modified_field)) change.modified = now;
  return change;
}

void set_attributes(fuse_req_t request, fuse_ino_t inode, struct stat* status, int valid, fuse_file_info* file) {
  if ((valid & FUSE_SET_ATTR_SIZE) != 0 && status->st_size < 0)
    return static_cast<void>(fuse_reply_err(request, EFBIG));
  volume::Context context = context_of(request);
  AttributeChange change = to_change(*status, valid, context.now);
  if (file != nullptr) change.fields |= AttributeChange::from_open_file;
  // libfuse drops this bit of the request.
  if ((raw_body<fuse_setattr_in>().valid & FATTR_KILL_SUIDGID) != 0) change.fields |= AttributeChange::clear_suid_sgid;
  const auto changed = volume_of(request).set_attributes(context, InodeNumber{inode}, change);
  // With these the kernel has attributes, and will not ask.
  if (changed) static_cast<void>(edge_of(request).late_errors->take(InodeNumber{inode}));
  reply_attributes(request, changed);
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& operations) {
  operations.getattr = get_attributes;
  operations.setattr = set_attributes;
}

}  // namespace ashlar::fuse
