// Extended attributes, and the one that is not stored: the status of the mount.
#include <linux/capability.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

// Of the root directory: what ashlarctl shows of a mounted volume, as JSON. Not listed, not stored, not to be changed.
constexpr std::string_view kStatusName = "user.ashlarfs.status";

bool is_status(fuse_ino_t inode, std::string_view name) { return inode == FUSE_ROOT_ID && name == kStatusName; }

constexpr std::string_view kTrusted = "trusted.";

// listxattr(2) shows trusted attributes to the privileged alone.
std::string without_trusted(std::string_view names) {
  std::string result;
  while (!names.empty()) {
    const std::size_t size = std::min(names.find('\0') + 1, names.size());
    if (!names.starts_with(kTrusted)) result.append(names.substr(0, size));
    names.remove_prefix(size);
  }
  return result;
}

void reply_value(fuse_req_t request, const Result<std::string>& value, std::size_t size) {
  if (!value) return reply_error(request, value.error());
  if (size == 0) return static_cast<void>(fuse_reply_xattr(request, value->size()));
  if (value->size() > size) return static_cast<void>(fuse_reply_err(request, ERANGE));
  static_cast<void>(fuse_reply_buf(request, value->data(), value->size()));
}

void get_xattr(fuse_req_t request, fuse_ino_t inode, const char* name, std::size_t size) {
  if (is_status(inode, name)) return reply_value(request, edge_of(request).status(), size);
  volume::Context context = context_of(request);
  reply_value(request, volume_of(request).get_xattr(context, InodeNumber{inode}, name), size);
}

void set_xattr(fuse_req_t request, fuse_ino_t inode, const char* name, const char* value, std::size_t size, int flags) {
  if (is_status(inode, name)) return static_cast<void>(fuse_reply_err(request, EOPNOTSUPP));
  volume::Context context = context_of(request);
  const auto bytes = std::as_bytes(std::span(value, size));
  reply(request, volume_of(request).set_xattr(context, InodeNumber{inode}, name, bytes, flags));
}

void list_xattrs(fuse_req_t request, fuse_ino_t inode, std::size_t size) {
  volume::Context context = context_of(request);
  Result<std::string> names = volume_of(request).list_xattrs(context, InodeNumber{inode});
  if (names && names->find(kTrusted) != std::string::npos && !has_capability(request, CAP_SYS_ADMIN)) {
    *names = without_trusted(*names);
  }
  reply_value(request, names, size);
}

void remove_xattr(fuse_req_t request, fuse_ino_t inode, const char* name) {
  if (is_status(inode, name)) return static_cast<void>(fuse_reply_err(request, EOPNOTSUPP));
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
