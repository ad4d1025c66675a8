// What a program sees of a full volume that never asks: without fsync, and before it closes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

constexpr std::size_t kWriteBytes = 1U << 20;
// Many times the volume, and what the kernel may hold back on any machine.
constexpr std::uint64_t kMostBytes = 16ULL << 30;

class FullVolume : public ::testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  }
  // Writes until that fails, and returns the errno; 0 when it never does.
  [[nodiscard]] static int fill(int fd) {
    const std::string data(kWriteBytes, 'x');
    for (std::uint64_t written = 0; written < kMostBytes; written += kWriteBytes) {
      if (write(fd, data.data(), data.size()) < 0) return errno;
    }
    return 0;
  }

  std::unique_ptr<MountedVolume> volume_;
};

TEST_F(FullVolume, WritingEndsThoughNobodySyncs) {
  const std::string path = volume_->root() / "filler";
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(fill(fd), ENOSPC);
  EXPECT_NE(close(fd), 0);
  EXPECT_EQ(errno, ENOSPC);
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << "the error is for who writes";
}

TEST_F(FullVolume, OthersWriteOnWhenThereIsRoomAgain) {
  const std::string filler = volume_->root() / "filler";
  const std::string log = volume_->root() / "log";
  const int fd = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0);
  const int full = open(filler.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_GE(full, 0);
  EXPECT_EQ(fill(full), ENOSPC);
  close(full);
  ASSERT_EQ(unlink(filler.c_str()), 0);
  const std::string line(kWriteBytes, 'y');
  EXPECT_EQ(write(fd, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  EXPECT_EQ(fsync(fd), 0);
  EXPECT_EQ(close(fd), 0);
  ASSERT_TRUE(succeeded(volume_->unmount()));
  EXPECT_TRUE(succeeded(volume_->check(true)));
}

// The kernel goes by the error: what it thinks of the file's size is what the volume is to have.
TEST_F(FullVolume, WhoseAllocationFailsKeepsItsSize) {
  constexpr off_t kBlock = 4096;
  constexpr off_t kHoles = 2000;  // more runs than one transaction takes
  const std::string path = volume_->root() / "file";
  const std::string holes = volume_->root() / "holes";
  const int full = open(holes.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_GE(full, 0);
  const std::string data(2 * kHoles * kBlock, 'x');
  ASSERT_EQ(write(full, data.data(), data.size()), static_cast<ssize_t>(data.size()));
  ASSERT_EQ(fsync(full), 0);
  for (off_t i = 0; i < kHoles; ++i) {
    ASSERT_EQ(fallocate(full, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * i * kBlock, kBlock), 0);
  }
  ASSERT_EQ(syncfs(full), 0);
  close(full);
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0);
  const auto too_much = static_cast<off_t>(volume_->free_blocks()) * kBlock + (1 << 20);
  EXPECT_EQ(fallocate(fd, 0, 0, too_much), -1);
  EXPECT_EQ(errno, ENOSPC);
  struct stat status {};
  EXPECT_EQ(fstat(fd, &status), 0);
  EXPECT_EQ(status.st_size, 0);
  close(fd);
  ASSERT_TRUE(succeeded(volume_->unmount()));
  EXPECT_TRUE(succeeded(volume_->check(true)));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  EXPECT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 0);
  EXPECT_EQ(unlink(path.c_str()), 0);
}

}  // namespace
}  // namespace ashlar::mount_test
