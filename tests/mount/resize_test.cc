// ashlarctl resize on a mounted volume.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kLargerBytes = 300 * kMiB;

CommandResult resize(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {program("ashlarctl"), "resize"});
  return run(arguments);
}

std::uint64_t total_bytes(const MountedVolume& volume) {
  struct statvfs space {};
  EXPECT_EQ(statvfs(volume.root().c_str(), &space), 0);
  return space.f_blocks * space.f_frsize;
}

// Writes, reads back and removes files of its own until it is told to stop; whether all was as it should be.
class Load {
 public:
  explicit Load(const std::filesystem::path& root) : thread_([this, root] { work(root); }) {}
  ~Load() { static_cast<void>(stop()); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void wait_for(unsigned rounds) const {
    while (rounds_ < rounds && good_) std::this_thread::yield();
  }
  [[nodiscard]] bool stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return good_;
  }

 private:
  void work(const std::filesystem::path& root) {
    for (unsigned round = 0; !stopping_; ++round) {
      const std::filesystem::path path = root / ("load" + std::to_string(round % 10));
      const std::string data(200'000 + round % 7 * 1000, static_cast<char>('a' + round % 26));
      std::ofstream(path, std::ios::binary) << data;
      const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fsync(fd) != 0) good_ = false;
      close(fd);
      std::ifstream file(path, std::ios::binary);
      const std::string found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      if (found != data) good_ = false;
      if (round % 3 == 0) std::filesystem::remove(path);
      ++rounds_;
    }
  }

  std::atomic<bool> stopping_{false};
  std::atomic<bool> good_{true};
  std::atomic<unsigned> rounds_{0};
  std::thread thread_;
};

class Resized : public EverySetupTest {
 protected:
  [[nodiscard]] std::uint64_t volume_bytes() const override { return kSmallVolumeBytes; }

  // The device that the volume lies on, as its owner does it.
  void enlarge_device(std::uint64_t bytes) {
    std::filesystem::resize_file(volume().device().image(), bytes);
    if (volume().device().path() != volume().device().image()) {
      ASSERT_TRUE(succeeded(run({"losetup", "--set-capacity", volume().device().path()})));
    }
  }
  // Until nothing more can be written; returns how many bytes the file has.
  [[nodiscard]] std::uint64_t fill(const std::string& name) {
    const int fd = open((volume().root() / name).c_str(), O_CREAT | O_WRONLY | O_DIRECT | O_CLOEXEC, 0644);
    EXPECT_GE(fd, 0);
    alignas(4096) static char data[kMiB];
    std::uint64_t written = 0;
    for (std::size_t length = sizeof data; length >= 4096;) {
      const ssize_t count = pwrite(fd, data, length, static_cast<off_t>(written));
      if (count > 0) {
        written += static_cast<std::uint64_t>(count);
      } else {
        EXPECT_EQ(errno, ENOSPC);
        length /= 2;
      }
    }
    EXPECT_EQ(fsync(fd), 0);
    close(fd);
    return written;
  }
};

TEST_P(Resized, GrowsUnderLoadAndIsFilledToTheEnd) {
  const std::string root = volume().root().string();
  const std::uint64_t before = total_bytes(volume());
  {
    Load load(volume().root());
    load.wait_for(3);
    for (const std::uint64_t bytes : {130 * kMiB, 200 * kMiB, kLargerBytes}) {
      enlarge_device(bytes);
      const CommandResult done = resize({root});
      EXPECT_TRUE(succeeded(done));
      EXPECT_THAT(done.output, HasSubstr(root + ": grown from "));
      EXPECT_THAT(done.output, HasSubstr("(" + std::to_string(bytes) + " bytes)"));
    }
    load.wait_for(8);
    EXPECT_TRUE(load.stop());
  }
  const std::uint64_t after = total_bytes(volume());
  EXPECT_GT(after, before + (kLargerBytes - kSmallVolumeBytes) * 99 / 100);
  const std::uint64_t filled = fill("filler");
  EXPECT_GT(filled, after * 9 / 10);
  EXPECT_TRUE(succeeded(run({program("ashlarctl"), "scrub", "--rate", "0", root})));
  EXPECT_THAT(run({program("ashlarctl"), "info", volume().device().path()}).output, HasSubstr("300 MiB: "));
  EXPECT_TRUE(succeeded(run({program("ashlarctl"), "map", volume().device().path()})));
  remount(other(GetParam().engine));
  EXPECT_EQ(total_bytes(volume()), after);
  EXPECT_EQ(std::filesystem::file_size(volume().root() / "filler"), filled);
  EXPECT_TRUE(succeeded(run({program("ashlarctl"), "scrub", "--rate", "0", root})));
  std::filesystem::remove(volume().root() / "filler");
  EXPECT_TRUE(succeeded(run({program("ashlarctl"), "trim", root})));
}

INSTANTIATE_TEST_SUITE_P(Setups, Resized, every_setup(), setup_name);

TEST(ResizedImage, IsMadeLongerAndTellsWhatItWouldDo) {
  ASHLAR_NEEDS_MOUNTING(false);
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(Engine::io_uring)));
  const std::string root = volume.root().string();
  const std::uint64_t before = total_bytes(volume);

  EXPECT_EQ(resize({root}).output, root + ": nothing to do: the volume has 128 MiB (134217728 bytes)\n");
  EXPECT_EQ(resize({root, "128M"}).output, root + ": nothing to do: the volume has 128 MiB (134217728 bytes)\n");
  EXPECT_EQ(resize({"-n", root, "1G"}).output,
            root + ": would grow from 128 MiB (134217728 bytes) to 1 GiB (1073741824 bytes)\n");
  EXPECT_EQ(total_bytes(volume), before);
  EXPECT_EQ(std::filesystem::file_size(volume.device().image()), kSmallVolumeBytes);

  // By the image's name; a larger group table comes with the second step.
  EXPECT_TRUE(succeeded(resize({volume.device().path(), "1G"})));
  EXPECT_EQ(std::filesystem::file_size(volume.device().image()), 1ULL << 30);
  EXPECT_TRUE(succeeded(resize({root, "64GiB"})));
  EXPECT_GT(total_bytes(volume), 63ULL << 30);
  std::filesystem::resize_file(volume.device().image(), (64ULL << 30) + 65536);
  EXPECT_THAT(resize({root}).output, HasSubstr("nothing to do: the volume has 64 GiB (68719476736 bytes), and what"));
  ASSERT_TRUE(succeeded(volume.unmount()));
  EXPECT_TRUE(succeeded(volume.check(true)));
}

TEST(ResizedImage, WhatCannotBeDoneIsSaid) {
  ASHLAR_NEEDS_MOUNTING(false);
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(Engine::io_uring)));
  const std::string root = volume.root().string();
  EXPECT_TRUE(refused(resize({"/"}), {"/: is not in a mounted AshlarFS volume"}));
  EXPECT_TRUE(refused(resize({root, "64M"}), {root, "has 134217728 bytes and cannot be made smaller"}));
  EXPECT_TRUE(refused(resize({root, "300T"}), {root, "larger block size"}));
  for (const char* const size : {"x", "0", "1Q", "-1"}) EXPECT_EQ(resize({root, size}).exit_status, 1) << size;
  EXPECT_EQ(resize({}).exit_status, 1);

  std::filesystem::permissions(volume.outside().parent_path(), std::filesystem::perms(0755));
  const std::filesystem::path reachable = volume.outside() / "ashlarctl";
  std::filesystem::copy_file(program("ashlarctl"), reachable);
  EXPECT_TRUE(refused(
      run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", reachable.string(), "resize", root, "1G"}),
      {root, "only root may"}));
  EXPECT_EQ(std::filesystem::file_size(volume.device().image()), kSmallVolumeBytes);

  ASSERT_TRUE(succeeded(volume.unmount()));
  EXPECT_TRUE(refused(resize({volume.device().path()}), {volume.device().path(), "not mounted"}));
  ASSERT_TRUE(succeeded(volume.mount(Engine::io_uring, "ro")));
  EXPECT_TRUE(refused(resize({root, "1G"}), {root, "read-only"}));
}

TEST(ResizedDevice, OneThatIsTooSmallIsSaidToBeSo) {
  ASHLAR_NEEDS_MOUNTING(true);
  MountedVolume volume(DeviceKind::loop_512, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(Engine::io_uring)));
  for (const char* const option : {"-n", "--"}) {
    EXPECT_TRUE(refused(resize({option, volume.root().string(), "1G"}),
                        {volume.device().path(), "has only 134217728 bytes: make the device larger first"}));
  }
}

}  // namespace
}  // namespace ashlar::mount_test
