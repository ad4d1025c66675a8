#include "blockio/mount_table.h"

#include <mntent.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace ashlar::blockio {
namespace {

constexpr std::string_view kType = "ashlarfs";  // "fuse.ashlarfs", "fuseblk.ashlarfs"

}  // namespace

std::vector<VolumeMount> volume_mounts() {
  const std::unique_ptr<FILE, int (*)(FILE*)> table(setmntent("/proc/self/mounts", "r"), endmntent);
  std::vector<VolumeMount> mounts;
  while (const mntent* entry = table ? getmntent(table.get()) : nullptr) {
    if (std::string_view(entry->mnt_type).ends_with(kType)) mounts.push_back({entry->mnt_fsname, entry->mnt_dir});
  }
  return mounts;
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(realpath(path.c_str(), nullptr), std::free);
  return resolved ? resolved.get() : path;
}

std::string mount_point_of(const std::string& device) {
  const std::string path = real_path(device);
  std::string found;
  for (VolumeMount& mount : volume_mounts()) {
    if (mount.device == path) found = std::move(mount.directory);
  }
  return found;
}

}  // namespace ashlar::blockio
