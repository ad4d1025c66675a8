// Which volumes are mounted here, as /proc/self/mounts tells. Anybody may call a mount anything, so this is good for
// messages and for how long to wait; whether a device is in use its lock decides.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ashlar::blockio {

struct VolumeMount {
  std::string device;
  std::string directory;
};

// In the order of mounting: of several on one directory the last hides the others. Empty when the table cannot be read.
[[nodiscard]] std::vector<VolumeMount> volume_mounts();
// Without links in it, as mounts have it; the path as it is when nothing is there.
[[nodiscard]] std::string real_path(const std::string& path);
// Where the device or image is mounted last, be it through a loop device over it or another one over the same file;
// empty when it is not.
[[nodiscard]] std::string mount_point_of(const std::string& device);

// For DeviceOptions::lock_wait_ms of a device that is (not) mounted: a daemon that serves a mount does not let go soon,
// one that is just finishing its unmount does within this time.
[[nodiscard]] constexpr std::uint32_t lock_wait_ms(bool is_mounted) noexcept { return is_mounted ? 0 : 30000; }

}  // namespace ashlar::blockio
