// From a request to a served mount, and back down.
#pragma once

#include "fs/daemon/background.h"
#include "fs/daemon/options.h"

namespace ashlar::daemon {

// Mounts, reports, serves until the mount is taken down or a signal asks for it, and closes the volume. The exit
// status.
[[nodiscard]] int run_mount(const MountRequest& request, Readiness readiness);

// The mount point is a directory, and the kernel has FUSE; checked before the device is touched.
[[nodiscard]] Status check_mount_point(const std::string& path);

}  // namespace ashlar::daemon
