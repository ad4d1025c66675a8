// Extended attributes, and the one that is not stored: the status of the mount.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

// Of the root directory: what ashlarctl shows of a mounted volume, as JSON. Not listed, not stored.
constexpr std::string_view kStatusName = "user.ashlarfs.status";

// Whether a new access list takes S_ISGID from the file (chmod(2) has the same rule): the caller is neither privileged
// nor in the file's group.
bool clears_setgid(fuse_req_t request, volume::Context& context, InodeNumber inode, std::string_view name) {
  constexpr std::size_t kUsualGroups = 64;
  constexpr std::size_t kMostGroups = 65536;  // NGROUPS_MAX
  if (name != "system.posix_acl_access" || context.uid == 0) return false;
  const Result<volume::Attributes> attributes = volume_of(request).attributes(context, inode);
  if (!attributes || (attributes->mode & S_ISGID) == 0 || attributes->gid == context.gid) return false;
  std::vector<gid_t> groups(kUsualGroups);
  const auto read_groups = [&] {
    const int count = fuse_req_getgroups(request, static_cast<int>(groups.size()), groups.data());
    return static_cast<std::size_t>(std::max(count, 0));
  };
  std::size_t count = read_groups();
  if (count > groups.size()) {
    groups.resize(std::min(count, kMostGroups));
    count = read_groups();
  }
  groups.resize(std::min(count, groups.size()));
  return std::find(groups.begin(), groups.end(), attributes->gid) == groups.end();
}

// listxattr(2) shows trusted attributes to the privileged alone.
std::string without_trusted(std::string_view names) {
  std::string result;
  while (!names.empty()) {
    const std::size_t size = std::min(names.find('\0') + 1, names.size());
    if (!names.starts_with("trusted.")) result.append(names.substr(0, size));
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
  if (inode == FUSE_ROOT_ID && name == kStatusName) return reply_value(request, edge_of(request).status(), size);
  volume::Context context = context_of(request);
  reply_value(request, volume_of(request).get_xattr(context, InodeNumber{inode}, name), size);
}

void set_xattr(fuse_req_t request, fuse_ino_t inode, const char* name, const char* value, std::size_t size, int flags) {
  volume::Context context = context_of(request);
  const auto bytes = std::as_bytes(std::span(value, size));
  const bool clear_setgid = clears_setgid(request, context, InodeNumber{inode}, name);
  reply(request, volume_of(request).set_xattr(context, InodeNumber{inode}, name, bytes, flags, clear_setgid));
}

void list_xattrs(fuse_req_t request, fuse_ino_t inode, std::size_t size) {
  volume::Context context = context_of(request);
  Result<std::string> names = volume_of(request).list_xattrs(context, InodeNumber{inode});
  if (names && context.uid != 0) *names = without_trusted(*names);
  reply_value(request, names, size);
}

void remove_xattr(fuse_req_t request, fuse_ino_t inode, const char* name) {
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
