// ashlarctl trim on a mounted volume, and mount option discard.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kFileBytes = 32U << 20;

CommandResult trim(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {program("ashlarctl"), "trim"});
  return run(arguments);
}

void write_durably(const MountedVolume& volume, const std::string& name, char fill) {
  const std::string data(kFileBytes, fill);
  const int fd = open((volume.root() / name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, data.data(), data.size()), static_cast<ssize_t>(data.size()));
  ASSERT_EQ(fsync(fd), 0);
  close(fd);
}

// Bytes that the image holds of the machine's disk.
std::uint64_t image_bytes_of(const MountedVolume& volume) {
  struct stat info {};
  EXPECT_EQ(stat(volume.device().image().c_str(), &info), 0);
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

class Trimmed : public ::testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    // More than one step of it.
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, 3ULL << 30);
    ASSERT_TRUE(succeeded(volume_->format()));
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  }

  [[nodiscard]] std::string root() const { return volume_->root().string(); }
  void write_file(const std::string& name, char fill) const { write_durably(*volume_, name, fill); }
  [[nodiscard]] std::uint64_t image_bytes() const { return image_bytes_of(*volume_); }

  std::unique_ptr<MountedVolume> volume_;
};

TEST_F(Trimmed, TheImageBecomesSparseAndFilesStayAsTheyWere) {
  write_file("keep", 'k');
  write_file("go", 'g');
  const std::uint64_t before = image_bytes();
  std::filesystem::remove(volume_->root() / "go");
  const CommandResult done = trim({root()});
  EXPECT_TRUE(succeeded(done));
  EXPECT_THAT(done.output, HasSubstr(root() + ": 2.8"));  // of 3 GiB
  EXPECT_THAT(done.output, HasSubstr(" GiB discarded\n"));
  EXPECT_EQ(done.errors, "") << "no progress where there is no terminal";
  EXPECT_LT(image_bytes() + kFileBytes / 2, before);

  // By the image, and from a directory within.
  std::filesystem::create_directory(volume_->root() / "d");
  EXPECT_THAT(trim({volume_->device().path()}).output, HasSubstr(root() + ": "));
  EXPECT_TRUE(succeeded(trim({(volume_->root() / "d").string(), "--min", "1M"})));

  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check(true)));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::aio)));
  std::ifstream file(volume_->root() / "keep", std::ios::binary);
  const std::string found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_TRUE(found == std::string(kFileBytes, 'k'));
}

TEST_F(Trimmed, ShortRunsAreLeftAlone) {
  // Files one beside the other, every second one removed: holes of 64 KiB.
  for (int i = 0; i < 200; ++i) {
    const std::string name = (volume_->root() / std::to_string(i)).string();
    std::ofstream(name) << std::string(64U << 10, 'x');
    const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(fsync(fd), 0);
    close(fd);
  }
  for (int i = 0; i < 200; i += 2) std::filesystem::remove(volume_->root() / std::to_string(i));
  ASSERT_TRUE(succeeded(trim({root(), "--min", "32M"})));
  const std::uint64_t before = image_bytes();
  ASSERT_TRUE(succeeded(trim({root()})));
  EXPECT_LT(image_bytes() + 100 * (32U << 10), before);
}

TEST_F(Trimmed, WhatCannotBeDoneIsSaid) {
  EXPECT_TRUE(refused(trim({"/"}), {"/: is not in a mounted AshlarFS volume"}));
  EXPECT_TRUE(refused(trim({"/nowhere"}), {"/nowhere", "No such file"}));
  EXPECT_EQ(trim({root(), "--min", "65M"}).exit_status, 1);
  EXPECT_EQ(trim({root(), "--min", "x"}).exit_status, 1);

  std::filesystem::permissions(volume_->outside().parent_path(), std::filesystem::perms(0755));
  const std::filesystem::path reachable = volume_->outside() / "ashlarctl";
  std::filesystem::copy_file(program("ashlarctl"), reachable);
  EXPECT_TRUE(
      refused(run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", reachable.string(), "trim", root()}),
              {root(), "only root may"}));

  ASSERT_TRUE(succeeded(volume_->unmount()));
  EXPECT_TRUE(refused(trim({volume_->device().path()}), {volume_->device().path(), "not mounted"}));
  ASSERT_TRUE(succeeded(volume_->check()));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring, "ro")));
  EXPECT_TRUE(refused(trim({root()}), {root(), "read-only"}));
}

// Mount option discard.
class Discarded : public ::testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(GetParam() != DeviceKind::image);
    volume_ = std::make_unique<MountedVolume>(GetParam(), 1ULL << 30);
    ASSERT_TRUE(succeeded(volume_->format()));
  }
  void fill(const std::string& name) const { write_durably(*volume_, name, 'x'); }
  [[nodiscard]] std::uint64_t image_bytes() const { return image_bytes_of(*volume_); }
  [[nodiscard]] std::string status() const {
    return run({program("ashlarctl"), "stat", "--json", volume_->root().string()}).output;
  }
  // What it holds once it holds no more than that, or what it still holds after a while.
  [[nodiscard]] std::uint64_t settled_bytes(std::uint64_t expected) const {
    for (int waits = 0; waits < 300 && image_bytes() > expected; ++waits) usleep(100'000);
    return image_bytes();
  }

  std::unique_ptr<MountedVolume> volume_;
};

TEST_P(Discarded, TheImageBecomesSparseWhileItIsMounted) {
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring, "discard,commit=1")));
  fill("keep");
  fill("go");
  const std::uint64_t before = image_bytes();
  EXPECT_THAT(status(), HasSubstr("\"online\": true"));
  std::filesystem::remove(volume_->root() / "go");
  const std::uint64_t expected = before - kFileBytes / 2;
  EXPECT_LE(settled_bytes(expected), expected);
  EXPECT_THAT(status(), ::testing::Not(HasSubstr("\"discard\": {\n    \"bytes\": 0")));
  EXPECT_THAT(run({program("ashlarctl"), "stat", volume_->root().string()}).output, HasSubstr("option discard is on"));
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check(true)));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::aio)));
  std::ifstream file(volume_->root() / "keep", std::ios::binary);
  const std::string found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_TRUE(found == std::string(kFileBytes, 'x'));
}

TEST_P(Discarded, TheImageIsSparseAfterwards) {
  ASSERT_TRUE(succeeded(volume_->mount(Engine::aio, "discard,commit=3600")));
  fill("go");
  const std::uint64_t before = image_bytes();
  std::filesystem::remove(volume_->root() / "go");
  ASSERT_TRUE(succeeded(volume_->unmount()));
  const std::uint64_t expected = before - kFileBytes / 2;
  EXPECT_LE(settled_bytes(expected), expected);  // the daemon of an image ends after umount
  ASSERT_TRUE(succeeded(volume_->check(true)));
}

INSTANTIATE_TEST_SUITE_P(Devices, Discarded, ::testing::Values(DeviceKind::image, DeviceKind::loop_4096),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

// A loop device over a file of a filesystem that cannot punch holes.
class LoopOnRamfs {
 public:
  explicit LoopOnRamfs(std::uint64_t bytes) {
    if (::mount("none", temp_.path().c_str(), "ramfs", 0, nullptr) != 0) return;
    mounted_ = true;
    make_sparse_file(temp_.path() / "image", bytes);
    const CommandResult made = run({"losetup", "--find", "--show", (temp_.path() / "image").string()});
    if (made.exit_status == 0) path_ = made.output.substr(0, made.output.find('\n'));
  }
  ~LoopOnRamfs() {
    if (!path_.empty()) static_cast<void>(run({"losetup", "--detach", path_}));
    if (mounted_) umount2(temp_.path().c_str(), MNT_DETACH);
  }
  LoopOnRamfs(const LoopOnRamfs&) = delete;
  LoopOnRamfs& operator=(const LoopOnRamfs&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TempDir temp_;
  bool mounted_ = false;
  std::string path_;
};

TEST(TrimmedDevice, OneThatCannotDiscardIsSaidToBeOne) {
  ASHLAR_NEEDS_MOUNTING(true);
  const LoopOnRamfs device(kSmallVolumeBytes);
  ASSERT_NE(device.path(), "");
  ASSERT_TRUE(succeeded(run({program("mkfs.ashlarfs"), "-q", device.path()})));
  const TempDir directory;
  ASSERT_TRUE(succeeded(run({program("ashlarfs"), "-o", "discard", device.path(), directory.path().string()})));
  const CommandResult result = trim({directory.path().string()});
  EXPECT_THAT(run({program("ashlarctl"), "stat", "--json", directory.path().string()}).output,
              HasSubstr("\"online\": false"));
  EXPECT_TRUE(succeeded(run({"umount", directory.path().string()})));
  EXPECT_TRUE(refused(result, {directory.path().string(), "the device", "cannot discard"}));
}

}  // namespace
}  // namespace ashlar::mount_test
