// Extended attributes, and the one that is not stored: the status of the mount.
#include <cerrno>

#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

// Of the root directory: what ashlarctl shows of a mounted volume, as JSON. Not listed, not stored.
constexpr std::string_view kStatusName = "user.ashlarfs.status";

// Access control lists are not there yet. Kept like other attributes they would be shown and not obeyed; refused,
// programs fall back to modes.
bool is_access_control_list(std::string_view name) noexcept { return name.starts_with("system.posix_acl_"); }

void reply_value(fuse_req_t request, const Result<std::string>& value, std::size_t size) {
  if (!value) return reply_error(request, value.error());
  if (size == 0) return static_cast<void>(fuse_reply_xattr(request, value->size()));
  if (value->size() > size) return static_cast<void>(fuse_reply_err(request, ERANGE));
  static_cast<void>(fuse_reply_buf(request, value->data(), value->size()));
}

void get_xattr(fuse_req_t request, fuse_ino_t inode, const char* name, std::size_t size) {
  if (inode == FUSE_ROOT_ID && name == kStatusName) return reply_value(request, edge_of(request).status(), size);
  if (is_access_control_list(name)) return static_cast<void>(fuse_reply_err(request, EOPNOTSUPP));
  volume::Context context = context_of(request);
  reply_value(request, volume_of(request).get_xattr(context, InodeNumber{inode}, name), size);
}

void set_xattr(fuse_req_t request, fuse_ino_t inode, const char* name, const char* value, std::size_t size, int flags) {
  if (is_access_control_list(name)) return static_cast<void>(fuse_reply_err(request, EOPNOTSUPP));
  volume::Context context = context_of(request);
  const auto bytes = std::as_bytes(std::span(value, size));
  reply(request, volume_of(request).set_xattr(context, InodeNumber{inode}, name, bytes, flags));
}

void list_xattrs(fuse_req_t request, fuse_ino_t inode, std::size_t size) {
  volume::Context context = context_of(request);
  reply_value(request, volume_of(request).list_xattrs(context, InodeNumber{inode}), size);
}

void remove_xattr(fuse_req_t request, fuse_ino_t inode, const char* name) {
  if (is_access_control_list(name)) return static_cast<void>(fuse_reply_err(request, EOPNOTSUPP));
  volume::Context context = context_of(request);
  reply(request, volume_of(request).remove_xattr(context, InodeNumber{inode}, name));
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& operations) {
  operations.getxattr = get_xattr;
  operations.setxattr = set_xattr;
  operations.listxattr = list_xattrs;
  operations.removexattr = remove_xattr;
}

}  // namespace ashlar::fuse
