// A volume that a test formats, mounts and checks through the programs, as a user would.
#pragma once

#include <gtest/gtest.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/mount/command.h"
#include "tests/mount/device.h"
#include "tests/mount/environment.h"
#include "tests/mount/machine_setting.h"

namespace ashlar::mount_test {

enum class Engine { io_uring, aio };

[[nodiscard]] std::string_view name_of(Engine engine);
[[nodiscard]] Engine other(Engine engine);

// The size of a sparse volume with room for the trees that the tests copy.
inline constexpr std::uint64_t kVolumeBytes = 4ULL << 30;
// And one that is quick to digest.
inline constexpr std::uint64_t kSmallVolumeBytes = 128ULL << 20;

// A temporary directory with a device and a mount point. Unmounts and detaches at the end, whatever happened.
class MountedVolume {
 public:
  explicit MountedVolume(DeviceKind kind, std::uint64_t bytes = kVolumeBytes);
  ~MountedVolume();
  MountedVolume(const MountedVolume&) = delete;
  MountedVolume& operator=(const MountedVolume&) = delete;

  [[nodiscard]] CommandResult format() const;
  [[nodiscard]] CommandResult mount(Engine engine, const std::string& more_options = "");
  // Options that every later mount() has as well.
  void set_mount_options(std::string options) { mount_options_ = std::move(options); }
  // As umount(8) does it: returns when the kernel has let go, perhaps before the daemon has finished.
  [[nodiscard]] CommandResult unmount();
  // fsck -n -f: a full check that changes nothing; `data`: the contents of files as well.
  [[nodiscard]] CommandResult check(bool data = false) const;

  [[nodiscard]] const TestDevice& device() const { return device_; }
  [[nodiscard]] const std::filesystem::path& root() const { return mount_point_; }
  // A directory beside the volume, on the machine's own filesystem.
  [[nodiscard]] const std::filesystem::path& outside() const { return outside_; }

  // Free blocks as statvfs has them, once what was removed in the background has settled: the count when it first
  // equals `expected`, or what it still is after a while.
  [[nodiscard]] std::uint64_t settled_free_blocks(std::uint64_t expected) const;
  [[nodiscard]] std::uint64_t free_blocks() const;

 private:
  TempDir temp_;
  std::filesystem::path mount_point_;
  std::filesystem::path outside_;
  TestDevice device_;
  std::string mount_options_;
  bool mounted_ = false;
};

// The machine's switch of FUSE over io_uring, which a daemon that is asked to use it turns on. For those who ask alone.
class RingSwitch : public MachineSetting {
 public:
  RingSwitch();
};

// Every combination that must work.
struct Setup {
  Engine engine;
  DeviceKind device;
  bool through_rings = false;  // FUSE over io_uring instead of what the daemon would choose
};

// A fixture for tests that run on each: formatted and mounted with the setup's engine.
class EverySetupTest : public ::testing::TestWithParam<Setup> {
 protected:
  void SetUp() override;
  void TearDown() override;
  [[nodiscard]] virtual std::uint64_t volume_bytes() const { return kVolumeBytes; }
  [[nodiscard]] MountedVolume& volume() { return *volume_; }

  // Unmounts, expects a clean check, mounts with `engine`.
  void remount(Engine engine);

 private:
  std::optional<RingSwitch> rings_;
  std::unique_ptr<MountedVolume> volume_;
};

[[nodiscard]] std::string setup_name(const ::testing::TestParamInfo<Setup>& info);

#ifdef ASHLAR_THROUGH_RINGS
inline auto every_setup() {
  return ::testing::Values(Setup{Engine::io_uring, DeviceKind::image, true},
                           Setup{Engine::aio, DeviceKind::loop_512, true});
}
#else
inline auto every_setup() {
  return ::testing::Values(Setup{Engine::io_uring, DeviceKind::image}, Setup{Engine::io_uring, DeviceKind::loop_512},
                           Setup{Engine::io_uring, DeviceKind::loop_4096}, Setup{Engine::aio, DeviceKind::image},
                           Setup{Engine::aio, DeviceKind::loop_512}, Setup{Engine::aio, DeviceKind::loop_4096});
}
#endif

}  // namespace ashlar::mount_test

// As ASHLAR_NEEDS_MOUNTING.
#define ASHLAR_NEEDS_RINGS(rings)                                                                       \
  if (!(rings).exists()) {                                                                              \
    if (::ashlar::mount_test::skipping_is_failing()) FAIL() << "this kernel has no FUSE over io_uring"; \
    GTEST_SKIP() << "this kernel has no FUSE over io_uring";                                            \
  }                                                                                                     \
  static_assert(true, "a semicolon follows")
