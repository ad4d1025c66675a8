// What ashlarctl metadump makes of a volume is mounted read-only and looked through like the volume.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

namespace stdfs = std::filesystem;

// Of each name what no scrambling changes: inode, type, size, links, times, how many attributes, its length.
std::multiset<std::string> shape_of(const stdfs::path& root) {
  std::multiset<std::string> shape;
  for (const stdfs::directory_entry& entry : stdfs::recursive_directory_iterator(root)) {
    struct stat info {};
    EXPECT_EQ(lstat(entry.path().c_str(), &info), 0) << entry.path();
    const ssize_t attributes = llistxattr(entry.path().c_str(), nullptr, 0);
    shape.insert(std::to_string(info.st_ino) + " " + std::to_string(info.st_mode) + " " + std::to_string(info.st_size) +
                 " " + std::to_string(info.st_nlink) + " " + std::to_string(info.st_mtim.tv_nsec) + " " +
                 std::to_string(attributes) + " " + std::to_string(entry.path().filename().string().size()));
  }
  return shape;
}

// Durable, and with it every operation that the daemon executed before.
void write_file(const stdfs::path& path, const std::string& contents) {
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0) << path;
  EXPECT_EQ(write(fd, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
  EXPECT_EQ(fsync(fd), 0);
  close(fd);
}

void make_tree(const stdfs::path& root) {
  for (int d = 0; d < 4; ++d) {
    const stdfs::path directory = root / ("directory " + std::to_string(d));
    stdfs::create_directory(directory);
    for (int f = 0; f < 50; ++f) {
      const stdfs::path file = directory / ("a private name " + std::to_string(f));
      write_file(file, std::string(static_cast<std::size_t>(f * 400), 'p'));
      if (f % 5 == 0) {
        EXPECT_EQ(setxattr(file.c_str(), "user.private", "value", 5, 0), 0);
      }
    }
    stdfs::create_symlink("somewhere private", directory / "a link");
    stdfs::create_hard_link(directory / "a private name 7", root / ("another name " + std::to_string(d)));
  }
  write_file(root / "the last private one", "");
}

TEST(Metadump, MountsReadOnlyWithTheSameShape) {
  ASHLAR_NEEDS_MOUNTING(false);
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(Engine::io_uring)));
  make_tree(volume.root());
  // Made while this is mounted, the image has a checkpoint and in the log what came after it.
  const auto shape = shape_of(volume.root());
  ASSERT_GT(shape.size(), 200U);
  const std::string image = (volume.outside() / "metadump.img").string();
  ASSERT_TRUE(succeeded(run({program("ashlarctl"), "metadump", volume.device().path(), image})));

  const std::string there = (volume.outside() / "metadump").string();
  stdfs::create_directory(there);
  ASSERT_TRUE(succeeded(run({program("ashlarfs"), "-o", "ro", image, there})));
  const auto shown = shape_of(there);
  bool private_names = false;
  for (const stdfs::directory_entry& entry : stdfs::recursive_directory_iterator(there))
    private_names = private_names || entry.path().string().find("private") != std::string::npos;
  std::ofstream refused(stdfs::path(there) / "new");
  EXPECT_FALSE(refused.is_open());
  EXPECT_TRUE(succeeded(run({"umount", there})));
  EXPECT_EQ(shown, shape);
  EXPECT_FALSE(private_names);
}

}  // namespace
}  // namespace ashlar::mount_test
