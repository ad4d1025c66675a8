// A mounted volume as its daemon serves it.
#pragma once

#include <string>
#include <string_view>

#include "fs/base/result.h"

namespace ashlar::ctl {

// Whether a path is the directory or lies below it by name; both absolute, without links.
[[nodiscard]] bool is_in_directory(std::string_view path, std::string_view directory) noexcept;

// The mount point for what the user named: a directory is it (or lies below it), a device or image is looked for among
// the mounts. not_found, with what to do, when it is not mounted.
[[nodiscard]] Result<std::string> find_mount_point(const std::string& directory_or_device);

// What the user named where a volume that is not mounted will do as well: then the mount point is empty. A directory is
// looked for as by find_mount_point(), with its errors.
struct VolumeTarget {
  bool is_directory = false;
  std::string mount_point;
};
[[nodiscard]] Result<VolumeTarget> find_target(const std::string& directory_or_device);

// Why something at a mount point failed, in words; of a daemon that is gone what to do.
[[nodiscard]] const char* daemon_error_text(int error_number);

}  // namespace ashlar::ctl
