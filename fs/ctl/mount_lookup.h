// A mounted volume as its daemon serves it.
#pragma once

#include <string>

#include "fs/base/result.h"

namespace ashlar::ctl {

// The mount point for what the user named: a directory is it (or lies below it), a device or image is looked for among
// the mounts. not_found, with what to do, when it is not mounted.
[[nodiscard]] Result<std::string> find_mount_point(const std::string& directory_or_device);

// Why something at a mount point failed, in words; of a daemon that is gone what to do.
[[nodiscard]] const char* daemon_error_text(int error_number);

// What the daemon tells of itself: JSON. Errors name the directory.
[[nodiscard]] Result<std::string> read_status(const std::string& mount_point);

}  // namespace ashlar::ctl
