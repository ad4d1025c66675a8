// The end of a mount: who unmounts a block device may have it at once, and a signal takes down this volume's mount
// only.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "tests/mount/foreground_daemon.h"
#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kBlock = 4096;
constexpr off_t kScatteredBlocks = 10000;  // more than the removal's caller waits for
constexpr std::size_t kHead = 64U << 10;   // with the superblocks, which a checkpoint writes last
constexpr std::chrono::milliseconds kStep{20};
constexpr int kMostSteps = 1500;

void make_scattered_file(const std::filesystem::path& path) {
  const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_GE(file, 0) << path;
  const std::vector<char> block(kBlock, 'x');
  for (off_t i = 0; i < kScatteredBlocks; ++i) {
    ASSERT_EQ(pwrite(file, block.data(), kBlock, i * 2 * static_cast<off_t>(kBlock)), static_cast<ssize_t>(kBlock));
  }
  EXPECT_EQ(fsync(file), 0);
  close(file);
}

std::vector<char> head_of(const std::string& image) {
  std::vector<char> head(kHead);
  std::ifstream(image, std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
  return head;
}

class UnmountTest : public ::testing::TestWithParam<Setup> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(GetParam().device != DeviceKind::image);
    volume_ = std::make_unique<MountedVolume>(GetParam().device, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
    std::string options = "io_engine=" + std::string(name_of(GetParam().engine));
    if (GetParam().through_rings) {
      ASHLAR_NEEDS_RINGS(rings_.emplace());
      options += ",fuse_transport=io_uring";
    }
    daemon_ = std::make_unique<ForegroundDaemon>(options, volume_->device().path(), volume_->root(),
                                                 volume_->outside() / "log");
    ASSERT_TRUE(daemon_->wait_until_mounted()) << daemon_->said();
  }
  void TearDown() override {
    daemon_.reset();
    volume_.reset();
  }

  [[nodiscard]] bool daemon_says(const std::string& text) const {
    for (int step = 0; step < kMostSteps; ++step) {
      if (daemon_->said().find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(kStep);
    }
    return false;
  }

  std::optional<RingSwitch> rings_;
  std::unique_ptr<MountedVolume> volume_;
  std::unique_ptr<ForegroundDaemon> daemon_;
};

using UnmountDevice = UnmountTest;

TEST_P(UnmountDevice, TheDeviceIsLeftAloneOnceUmountReturns) {
  const std::filesystem::path file = volume_->root() / "scattered";
  ASSERT_NO_FATAL_FAILURE(make_scattered_file(file));
  ASSERT_TRUE(std::filesystem::remove(file));
  ASSERT_TRUE(succeeded(run({"umount", volume_->root().string()})));

  // As the next user would, who writes at once.
  const int device = open(volume_->device().path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
  ASSERT_GE(device, 0) << errno;
  const std::vector<char> head = head_of(volume_->device().image());
  const std::uint64_t digest = digest_of(volume_->device().image());
  EXPECT_EQ(daemon_->wait_until_ended(), 0) << daemon_->said();
  EXPECT_TRUE(head_of(volume_->device().image()) == head) << "a superblock was written";
  EXPECT_EQ(digest_of(volume_->device().image()), digest);
  close(device);

  const CommandResult info = run({program("ashlarctl"), "info", "--json", volume_->device().path()});
  EXPECT_THAT(info.output, HasSubstr("\"clean\": true"));
  EXPECT_TRUE(succeeded(volume_->check()));
}

using UnmountSignal = UnmountTest;

TEST_P(UnmountSignal, WhatIsMountedOverTheVolumeStays) {
  const std::string root = volume_->root().string();
  std::ofstream(volume_->root() / "below") << "x";
  ASSERT_EQ(mount("over", root.c_str(), "tmpfs", 0, "size=64k"), 0) << errno;
  std::ofstream(volume_->root() / "above") << "x";
  daemon_->signal(SIGTERM);
  EXPECT_TRUE(daemon_says("not unmounted")) << daemon_->said();
  EXPECT_TRUE(std::filesystem::exists(volume_->root() / "above"));

  // It goes on, and listens to the next.
  ASSERT_EQ(umount2(root.c_str(), 0), 0) << errno;
  EXPECT_TRUE(std::filesystem::exists(volume_->root() / "below"));
  daemon_->signal(SIGTERM);
  EXPECT_EQ(daemon_->wait_until_ended(), 0) << daemon_->said();
  EXPECT_FALSE(std::filesystem::exists(volume_->root() / "below"));
  EXPECT_TRUE(succeeded(volume_->check()));
}

#ifdef ASHLAR_THROUGH_RINGS
INSTANTIATE_TEST_SUITE_P(Mount, UnmountDevice, ::testing::Values(Setup{Engine::io_uring, DeviceKind::loop_512, true}),
                         setup_name);
INSTANTIATE_TEST_SUITE_P(Mount, UnmountSignal, ::testing::Values(Setup{Engine::io_uring, DeviceKind::loop_512, true}),
                         setup_name);
#else
INSTANTIATE_TEST_SUITE_P(Mount, UnmountDevice,
                         ::testing::Values(Setup{Engine::io_uring, DeviceKind::loop_512},
                                           Setup{Engine::aio, DeviceKind::loop_4096}),
                         setup_name);
INSTANTIATE_TEST_SUITE_P(Mount, UnmountSignal,
                         ::testing::Values(Setup{Engine::io_uring, DeviceKind::image},
                                           Setup{Engine::io_uring, DeviceKind::loop_512}),
                         setup_name);
#endif

}  // namespace
}  // namespace ashlar::mount_test
