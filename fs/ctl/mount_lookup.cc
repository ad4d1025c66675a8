#include "fs/ctl/mount_lookup.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "blockio/mount_table.h"

namespace ashlar::ctl {

bool is_in_directory(std::string_view path, std::string_view directory) noexcept {
  if (!path.starts_with(directory)) return false;
  return path.size() == directory.size() || directory.ends_with('/') || path[directory.size()] == '/';
}

Result<std::string> find_mount_point(const std::string& directory_or_device) {
  struct stat info {};
  if (stat(directory_or_device.c_str(), &info) != 0) {
    return fail(from_errno(errno), fmt::format("{}: {}", directory_or_device, std::strerror(errno)));
  }
  const std::string path = blockio::real_path(directory_or_device);
  if (!S_ISDIR(info.st_mode)) {
    std::string mount = blockio::mount_point_of(path);
    if (!mount.empty()) return mount;
    return fail(ErrorCode::not_found,
                fmt::format("{}: is not mounted here; `ashlarctl info` shows a volume that is not", path));
  }
  std::string longest;
  for (blockio::VolumeMount& mount : blockio::volume_mounts()) {
    const std::string& directory = mount.directory;
    if (is_in_directory(path, directory) && directory.size() >= longest.size()) longest = std::move(mount.directory);
  }
  // Something else may be mounted in between, always when the volume is the root. Of a dead daemon its user is told
  // later.
  struct stat top {};
  const bool elsewhere = stat(longest.c_str(), &top) == 0 && top.st_dev != info.st_dev;
  if (!longest.empty() && !elsewhere) return longest;
  return fail(ErrorCode::not_found, fmt::format("{}: is not in a mounted AshlarFS volume", directory_or_device));
}

Result<VolumeTarget> find_target(const std::string& directory_or_device) {
  struct stat info {};
  if (stat(directory_or_device.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return VolumeTarget{false, blockio::mount_point_of(directory_or_device)};
  }
  return VolumeTarget { true, TRY(find_mount_point(directory_or_device)) };
}

const char* daemon_error_text(int error_number) {
  return error_number == ENOTCONN ? "its daemon has died; unmount it" : std::strerror(error_number);
}

}  // namespace ashlar::ctl
