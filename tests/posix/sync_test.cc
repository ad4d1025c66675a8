// What is durable without fsync(2): names in synchronous directories and mounts (chattr(1), mount(8)), and what is
// written through O_SYNC descriptors and on synchronous mounts. The power cut is an ioctl, after which nothing is
// written any more.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class SyncTest : public PosixTest {
 protected:
  // XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN; then mounts again, which replays the log.
  void cut_the_power() {
    constexpr unsigned long kGoingDown = _IOR('X', 125, std::uint32_t);
    {
      const OpenFile root(path(""), O_RDONLY | O_DIRECTORY);
      std::uint32_t not_even_the_log = 2;
      ASSERT_EQ(ERRNO_OF(ioctl(root.fd(), kGoingDown, &not_even_the_log)), 0);
    }
    filesystem().remount("");
  }
  void set_flags(const std::string& name, unsigned flags) const {
    const OpenFile file(path(name), O_RDONLY);
    unsigned now = 0;
    ASSERT_EQ(ERRNO_OF(ioctl(file.fd(), FS_IOC_GETFLAGS, &now)), 0);
    flags |= now;
    ASSERT_EQ(ERRNO_OF(ioctl(file.fd(), FS_IOC_SETFLAGS, &flags)), 0);
  }
  void make_things_durable() const {
    const OpenFile root(path(""), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(fsync(root.fd()), 0);
  }
  // Every operation on names, in `directory`, which holds empty files old, gone, moving and replaced.
  void change_names(const std::string& directory) const {
    const auto in = [&](const char* name) { return path(directory + "/" + name); };
    EXPECT_EQ(ERRNO_OF(mkdir(in("directory").c_str(), 0755)), 0);
    EXPECT_EQ(ERRNO_OF(mkdir(in("removed").c_str(), 0755)), 0);
    EXPECT_EQ(ERRNO_OF(rmdir(in("removed").c_str())), 0);
    EXPECT_EQ(ERRNO_OF(symlink("target", in("symlink").c_str())), 0);
    EXPECT_EQ(ERRNO_OF(mkfifo(in("fifo").c_str(), 0644)), 0);
    EXPECT_EQ(ERRNO_OF(link(in("old").c_str(), in("link").c_str())), 0);
    EXPECT_EQ(ERRNO_OF(unlink(in("gone").c_str())), 0);
    EXPECT_EQ(ERRNO_OF(rename(in("moving").c_str(), in("replaced").c_str())), 0);
    EXPECT_EQ(open_errno(directory + "/file", O_WRONLY | O_CREAT | O_EXCL), 0);
  }
  void make_names(const std::string& directory) const {
    for (const char* name : {"old", "gone", "moving", "replaced"}) make_file(directory + "/" + name);
  }
  static std::vector<std::string> names_after() {
    return {"directory", "fifo", "file", "link", "old", "replaced", "symlink"};
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, SyncTest, every_filesystem(), kind_name);

TEST_P(SyncTest, SynchronousDirectories) {
  // chattr(1): D, "changes are written synchronously to the disk"; S of a directory likewise.
  for (const unsigned flag : {unsigned{FS_DIRSYNC_FL}, unsigned{FS_SYNC_FL}}) {
    const std::string directory = flag == FS_DIRSYNC_FL ? "D" : "S";
    make_directory(directory);
    make_names(directory);
    set_flags(directory, flag);
    make_things_durable();
    change_names(directory);
    cut_the_power();
    EXPECT_EQ(names_in(directory), names_after()) << directory;
  }
}

TEST_P(SyncTest, MovingIntoASynchronousDirectory) {
  make_directory("plain");
  make_directory("D");
  make_file("plain/file");
  set_flags("D", FS_DIRSYNC_FL);
  make_things_durable();
  EXPECT_EQ(ERRNO_OF(rename(path("plain/file").c_str(), path("D/file").c_str())), 0);
  cut_the_power();
  EXPECT_TRUE(exists("D/file"));
  EXPECT_FALSE(exists("plain/file"));
}

TEST_P(SyncTest, SynchronousMounts) {
  for (const std::string option : {"dirsync", "sync"}) {
    make_directory(option);
    make_names(option);
    filesystem().remount(option);
    change_names(option);
    if (option == "sync") {
      // mount(8): sync, "all I/O to the filesystem should be done synchronously".
      const OpenFile file(path(option + "/file"), O_WRONLY);
      ASSERT_EQ(write(file.fd(), "text", 4), 4);
    }
    cut_the_power();
    EXPECT_EQ(names_in(option), names_after()) << option;
  }
  EXPECT_EQ(contents_of("sync/file"), "text");
}

TEST_P(SyncTest, SynchronousWrites) {
  make_file("file");
  make_things_durable();
  {
    // XSH open: O_SYNC, O_DSYNC
    const OpenFile file(path("file"), O_WRONLY | O_DSYNC);
    ASSERT_EQ(write(file.fd(), "text", 4), 4);
  }
  cut_the_power();
  EXPECT_EQ(contents_of("file"), "text");
  {
    const OpenFile file(path("file"), O_WRONLY | O_SYNC);
    ASSERT_EQ(pwrite(file.fd(), "more", 4, 4), 4);
  }
  cut_the_power();
  EXPECT_EQ(contents_of("file"), "textmore");
}

TEST_P(SyncTest, TimesOfWhatIsSynced) {
  // XSH fsync, open (O_SYNC: file integrity), mmap: with contents written over, of the same length, go their times.
  constexpr std::size_t kSize = 8192;
  const std::string contents(kSize, 'n');
  struct Way {
    const char* name;
    int flags;
    std::function<int(int)> write_and_sync;  // 0 or -1
  };
  const auto write_all = [&](int fd) { return pwrite(fd, contents.data(), kSize, 0) == ssize_t{kSize} ? 0 : -1; };
  const Way ways[] = {
      {"fsync", O_RDWR, [&](int fd) { return write_all(fd) + fsync(fd); }},
      {"O_SYNC", O_RDWR | O_SYNC, write_all},
      {"mmap", O_RDWR,
       [&](int fd) {
         void* const mapped = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
         if (mapped == MAP_FAILED) return -1;
         std::memcpy(mapped, contents.data(), kSize);
         return munmap(mapped, kSize) + fsync(fd);
       }},
  };
  std::vector<struct stat> expected;
  for (const Way& way : ways) {
    make_file(way.name, std::string(kSize, 'o'));
    const OpenFile file(path(way.name), way.flags);
    const std::array<timespec, 2> old = {timespec{1000, 0}, timespec{1000, 0}};
    ASSERT_EQ(ERRNO_OF(futimens(file.fd(), old.data())), 0);
    ASSERT_EQ(ERRNO_OF(fsync(file.fd())), 0);
    let_time_pass();
    ASSERT_EQ(way.write_and_sync(file.fd()), 0) << way.name << ": errno " << errno;
    expected.push_back(stat_of(way.name));
    EXPECT_GT(expected.back().st_mtim.tv_sec, 1000) << way.name;
  }
  cut_the_power();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const struct stat found = stat_of(ways[i].name);
    EXPECT_EQ(contents_of(ways[i].name), contents) << ways[i].name;
    EXPECT_EQ(found.st_mtim.tv_sec, expected[i].st_mtim.tv_sec) << ways[i].name;
    EXPECT_EQ(found.st_mtim.tv_nsec, expected[i].st_mtim.tv_nsec) << ways[i].name;
    EXPECT_EQ(found.st_ctim.tv_sec, expected[i].st_ctim.tv_sec) << ways[i].name;
    EXPECT_EQ(found.st_ctim.tv_nsec, expected[i].st_ctim.tv_nsec) << ways[i].name;
  }
}

}  // namespace
}  // namespace ashlar::posix_test
