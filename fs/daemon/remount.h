// What mount(8) has its helper do for `mount -o remount`.
#pragma once

#include "fs/base/result.h"
#include "fs/daemon/options.h"

namespace ashlar::daemon {

// Gives the mount at request.mount_point the kernel's options of the request: ro, nodev, noexec, ... The daemon's own
// stay as they were. read_only: it cannot become writable, because the daemon has the device for reading only, or
// writes no more.
[[nodiscard]] Status remount(const MountRequest& request);

}  // namespace ashlar::daemon
