#include "fs/ctl/mount_lookup.h"

#include <fmt/format.h>
#include <mntent.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace ashlar::ctl {
namespace {

constexpr const char* kStatusName = "user.ashlarfs.status";
constexpr std::size_t kMaxStatus = 65536;  // what the kernel lets an attribute have

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(realpath(path.c_str(), nullptr), std::free);
  return resolved ? resolved.get() : path;
}

// The mount of ours that `matches` says it is; the last one wins, as it hides those before.
template <typename Matches>
std::string find_mount(Matches matches) {
  const std::unique_ptr<FILE, int (*)(FILE*)> table(setmntent("/proc/self/mounts", "r"), endmntent);
  std::string found;
  while (const mntent* entry = table ? getmntent(table.get()) : nullptr) {
    if (std::string_view(entry->mnt_type).ends_with("ashlarfs") && matches(*entry)) found = entry->mnt_dir;
  }
  return found;
}

}  // namespace

Result<std::string> find_mount_point(const std::string& directory_or_device) {
  struct stat info {};
  if (stat(directory_or_device.c_str(), &info) != 0) {
    return fail(from_errno(errno), fmt::format("{}: {}", directory_or_device, std::strerror(errno)));
  }
  const std::string path = real_path(directory_or_device);
  if (!S_ISDIR(info.st_mode)) {
    const std::string mount = find_mount([&](const mntent& entry) { return path == entry.mnt_fsname; });
    if (!mount.empty()) return mount;
    return fail(ErrorCode::not_found,
                fmt::format("{}: is not mounted here; `ashlarctl info` shows a volume that is not", path));
  }
  std::size_t longest = 0;
  std::string mount;
  static_cast<void>(find_mount([&](const mntent& entry) {
    const std::string_view directory(entry.mnt_dir);
    const bool below = path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
    if (below && directory.size() >= longest) {
      longest = directory.size();
      mount = directory;
    }
    return below;
  }));
  if (!mount.empty()) return mount;
  return fail(ErrorCode::not_found, fmt::format("{}: is not in a mounted AshlarFS volume", directory_or_device));
}

Result<std::string> read_status(const std::string& mount_point) {
  std::string status(kMaxStatus, '\0');
  const ssize_t size = getxattr(mount_point.c_str(), kStatusName, status.data(), status.size());
  if (size < 0) {
    const int error = errno;
    const char* const why = error == ENOTCONN  ? "its daemon has died; unmount it"
                            : error == ENODATA ? "no AshlarFS daemon answers there"
                                               : std::strerror(error);
    return fail(from_errno(error), fmt::format("{}: {}", mount_point, why));
  }
  status.resize(static_cast<std::size_t>(size));
  return status;
}

}  // namespace ashlar::ctl
