// A million files in one directory, and a million in a tree: made by the volume layer, without a kernel in between
// that would make it a matter of minutes, then used through a mount and checked. (ASHLAR_SCALE has posix_scale_test
// make them through the mount, too.)
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "blockio/file_device.h"
#include "fs/volume/volume.h"
#include "tests/mount/daemon_memory.h"
#include "tests/mount/mounted_volume.h"
#include "tests/posix/errno_of.h"

namespace ashlar::posix_test {
namespace {

using mount_test::DeviceKind;
using mount_test::Engine;
using mount_test::MountedVolume;
using mount_test::succeeded;

constexpr int kFiles = 1'000'000;
constexpr int kPerDirectory = 100;
constexpr int kDirectoriesPerParent = 100;
constexpr std::uint64_t kVolumeBytes = 16ULL << 30;  // sparse

template <typename Value>
Value must(Result<Value> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}

// A volume that nobody has mounted.
class Builder {
 public:
  explicit Builder(const std::string& image)
      : device_(must(blockio::open_device(image, {}))), io_(must(device_->open_queue({}))) {
    volume_ = must(volume::Volume::open(*device_, *io_, {}));
    clock_gettime(CLOCK_REALTIME, &context_.now);
  }

  InodeNumber make(InodeNumber parent, const std::string& name, mode_t mode) {
    const InodeNumber made = must(volume_->make_node(context_, parent, name, {mode, 0})).inode;
    volume_->forget(*io_, made, 1);
    return made;
  }
  void finish() {
    const Status closed = volume_->close(*io_);
    ASSERT_TRUE(closed) << closed.error().message();
  }

 private:
  std::unique_ptr<blockio::FileDevice> device_;
  std::unique_ptr<blockio::IoQueue> io_;
  volume::Context context_{*io_};
  std::unique_ptr<volume::Volume> volume_;
};

class MillionTest : public testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    ASSERT_TRUE(succeeded(volume_.format()));
  }
  void mount() { ASSERT_TRUE(succeeded(volume_.mount(Engine::io_uring, "cache=64M"))); }
  void unmount_and_check() {
    // cache=, and what requests under way hold; no more for a million names than for a few.
    constexpr std::uint64_t kCacheAndBuffers = 64ULL << 20 | 128ULL << 20;
    EXPECT_LT(mount_test::peak_daemon_memory(volume_.device().path()), kCacheAndBuffers);
    EXPECT_NE(mount_test::peak_daemon_memory(volume_.device().path()), 0U);
    ASSERT_TRUE(succeeded(volume_.unmount()));
    EXPECT_TRUE(succeeded(volume_.check()));
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (volume_.root() / name).string(); }
  [[nodiscard]] const std::string& image() const { return volume_.device().path(); }

  // Of the files whose names are numbers below kFiles, those that `there` says are in the directory, each once.
  static void expect_listed(const std::string& directory, const std::vector<bool>& there) {
    std::vector<bool> seen(there.size(), false);
    DIR* const stream = opendir(directory.c_str());
    ASSERT_NE(stream, nullptr) << directory;
    while (const dirent* const entry = readdir(stream)) {
      const std::string name = static_cast<const char*>(entry->d_name);
      if (name == "." || name == "..") continue;
      const auto number = std::stoul(name);
      ASSERT_LT(number, seen.size()) << name;
      ASSERT_FALSE(seen[number]) << name << " is listed twice";
      seen[number] = true;
    }
    closedir(stream);
    EXPECT_TRUE(seen == there);
  }

 private:
  MountedVolume volume_{DeviceKind::image, kVolumeBytes};
};

TEST_F(MillionTest, InOneDirectory) {
  {
    Builder builder(image());
    const InodeNumber many = builder.make(kRootInode, "many", S_IFDIR | 0755);
    for (int i = 0; i < kFiles; ++i) builder.make(many, std::to_string(i), S_IFREG | 0644);
    ASSERT_NO_FATAL_FAILURE(builder.finish());
  }
  ASSERT_NO_FATAL_FAILURE(mount());
  std::vector<bool> there(kFiles, true);
  ASSERT_NO_FATAL_FAILURE(expect_listed(path("many"), there));
  constexpr int kStep = 997;
  for (int i = 0; i < kFiles; i += kStep) {
    const std::string name = path("many/" + std::to_string(i));
    struct stat status {};
    ASSERT_EQ(ERRNO_OF(stat(name.c_str(), &status)), 0) << i;
    if (i % 2 == 0) {
      ASSERT_EQ(ERRNO_OF(unlink(name.c_str())), 0) << i;
      there[static_cast<std::size_t>(i)] = false;
    }
  }
  struct stat status {};
  EXPECT_EQ(ERRNO_OF(stat(path("many/" + std::to_string(kFiles)).c_str(), &status)), ENOENT);
  EXPECT_EQ(ERRNO_OF(rmdir(path("many").c_str())), ENOTEMPTY);
  EXPECT_EQ(ERRNO_OF(rename(path("many/1").c_str(), path("many/0").c_str())), 0);
  there[0] = true;
  there[1] = false;
  ASSERT_NO_FATAL_FAILURE(expect_listed(path("many"), there));
  unmount_and_check();
}

TEST_F(MillionTest, InATree) {
  {
    Builder builder(image());
    InodeNumber above = kRootInode;
    InodeNumber directory = kRootInode;
    for (int i = 0; i < kFiles; ++i) {
      const int number = i / kPerDirectory;
      if (i % (kPerDirectory * kDirectoriesPerParent) == 0) {
        above = builder.make(kRootInode, std::to_string(number / kDirectoriesPerParent), S_IFDIR | 0755);
      }
      if (i % kPerDirectory == 0) directory = builder.make(above, std::to_string(number), S_IFDIR | 0755);
      builder.make(directory, std::to_string(i % kPerDirectory), S_IFREG | 0644);
    }
    ASSERT_NO_FATAL_FAILURE(builder.finish());
  }
  ASSERT_NO_FATAL_FAILURE(mount());
  const auto directory_of = [&](int number) {
    return path(std::to_string(number / kDirectoriesPerParent) + "/" + std::to_string(number));
  };
  constexpr int kStep = 97;
  const std::string contents = "contents";
  for (int number = 0; number < kFiles / kPerDirectory; number += kStep) {
    ASSERT_NO_FATAL_FAILURE(expect_listed(directory_of(number), std::vector<bool>(kPerDirectory, true)));
    const int file = open((directory_of(number) + "/7").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(file, 0) << number << ": errno " << errno;
    EXPECT_EQ(write(file, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
    close(file);
  }
  EXPECT_TRUE(succeeded(mount_test::run({"rm", "-r", path("3")})));
  unmount_and_check();
}

}  // namespace
}  // namespace ashlar::posix_test
