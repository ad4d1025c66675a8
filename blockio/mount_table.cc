#include "blockio/mount_table.h"

#include <fmt/core.h>
#include <mntent.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

#include "blockio/backing_file.h"

namespace ashlar::blockio {
namespace {

constexpr std::string_view kType = "ashlarfs";  // "fuse.ashlarfs", "fuseblk.ashlarfs"

// The path that stands for the contents: behind a loop device the file there and where in it. Looks at nothing outside
// /dev: what a mount names may be on a filesystem that does not answer.
std::string contents_behind(const std::string& path) {
  struct stat found {};
  if (!path.starts_with("/dev/") || stat(path.c_str(), &found) != 0 || !S_ISBLK(found.st_mode)) return path;
  const std::optional<BackingPart> part = backing_part_of(found.st_rdev);
  if (!part) return path;
  return part->offset == 0 ? part->path : fmt::format("{} from byte {}", part->path, part->offset);
}

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
  const std::string contents = contents_behind(real_path(device));
  std::string found;
  for (VolumeMount& mount : volume_mounts()) {
    if (contents_behind(mount.device) == contents) found = std::move(mount.directory);
  }
  return found;
}

}  // namespace ashlar::blockio
