// Inode flags: ioctl_iflags(2), chattr(1), and the ioctls of whole filesystems.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class FlagsTest : public PosixTest {
 protected:
  [[nodiscard]] unsigned flags_of(const std::string& name) const {
    const OpenFile file(path(name), O_RDONLY | O_NONBLOCK);
    unsigned flags = 0;
    EXPECT_EQ(ERRNO_OF(ioctl(file.fd(), FS_IOC_GETFLAGS, &flags)), 0) << name;
    return flags & kOurs;
  }
  [[nodiscard]] int sets(const std::string& name, unsigned flags) const {
    const OpenFile file(path(name), O_RDONLY | O_NONBLOCK);
    unsigned others = 0;
    EXPECT_EQ(ERRNO_OF(ioctl(file.fd(), FS_IOC_GETFLAGS, &others)), 0) << name;
    flags |= others & ~kOurs;  // what ext4 says of its own
    return ERRNO_OF(ioctl(file.fd(), FS_IOC_SETFLAGS, &flags));
  }

 private:
  static constexpr unsigned kOurs =
      FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL;
};
INSTANTIATE_TEST_SUITE_P(Posix, FlagsTest, every_filesystem(), kind_name);

TEST_P(FlagsTest, TheyAreKeptAndInherited) {
  make_directory("d");
  ASSERT_EQ(sets("d", FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL), 0);
  make_file("d/file");
  make_directory("d/below");
  EXPECT_EQ(flags_of("d/file"), FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL);
  EXPECT_EQ(flags_of("d/below"), FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL);
  EXPECT_EQ(times_changed("d/file", [&] { EXPECT_EQ(sets("d/file", FS_NODUMP_FL), 0); }),
            deviates(Deviation::flags_keep_change_time) ? "" : "c");
  filesystem().remount("");
  EXPECT_EQ(flags_of("d/file"), FS_NODUMP_FL);
}

TEST_P(FlagsTest, BothLanguages) {
  make_file("file");
  const OpenFile file(path("file"), O_RDWR);
  fsxattr extended{};
  ASSERT_EQ(ioctl(file.fd(), FS_IOC_FSGETXATTR, &extended), 0);
  extended.fsx_xflags |= FS_XFLAG_NODUMP | FS_XFLAG_NOATIME;
  ASSERT_EQ(ERRNO_OF(ioctl(file.fd(), FS_IOC_FSSETXATTR, &extended)), 0);
  EXPECT_EQ(flags_of("file"), FS_NODUMP_FL | FS_NOATIME_FL);
  ASSERT_EQ(sets("file", FS_NOATIME_FL), 0);
  ASSERT_EQ(ioctl(file.fd(), FS_IOC_FSGETXATTR, &extended), 0);
  EXPECT_EQ(extended.fsx_xflags & (FS_XFLAG_NODUMP | FS_XFLAG_NOATIME), FS_XFLAG_NOATIME);
  char label[FSLABEL_MAX] = "?";
  EXPECT_EQ(ERRNO_OF(ioctl(file.fd(), FS_IOC_GETFSLABEL, label)), 0);
  EXPECT_STREQ(label, "");
}

TEST_P(FlagsTest, WhoMay) {
  make_file("file");
  give_to("file", kAlice);
  const std::string full = path("file");
  const auto by = [&](const Caller& caller, unsigned flags) {
    return errno_as(caller, [&] {
      const int fd = open(full.c_str(), O_RDONLY);
      unsigned now = 0;
      if (ioctl(fd, FS_IOC_GETFLAGS, &now) != 0) return -1;
      flags |= now;
      return ioctl(fd, FS_IOC_SETFLAGS, &flags);
    });
  };
  // ioctl_iflags(2): the owner; immutable and append-only are for CAP_LINUX_IMMUTABLE.
  EXPECT_EQ(by(kBob, FS_NODUMP_FL), EPERM);
  EXPECT_EQ(by(kAlice, FS_NODUMP_FL), 0);
  EXPECT_EQ(by(kAlice, FS_IMMUTABLE_FL), EPERM);
  EXPECT_EQ(by(kAlice, FS_APPEND_FL), EPERM);
}

TEST_P(FlagsTest, ImmutableFiles) {
  make_file("file", "text");
  make_directory("d");
  make_file("d/file");
  ASSERT_EQ(sets("file", FS_IMMUTABLE_FL), 0);
  ASSERT_EQ(sets("d", FS_IMMUTABLE_FL), 0);
  const std::string file = path("file");
  const std::array<timespec, 2> times = {timespec{1, 0}, timespec{1, 0}};
  // ioctl_iflags(2), FS_IMMUTABLE_FL, for root as well
  EXPECT_EQ(ERRNO_OF(unlink(file.c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(rename(file.c_str(), path("new").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(link(file.c_str(), path("new").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(chmod(file.c_str(), 0600)), EPERM);
  EXPECT_EQ(ERRNO_OF(chown(file.c_str(), 1, 1)), EPERM);
  EXPECT_EQ(ERRNO_OF(truncate(file.c_str(), 0)), EPERM);
  EXPECT_EQ(ERRNO_OF(utimensat(AT_FDCWD, file.c_str(), times.data(), 0)), EPERM);
  EXPECT_EQ(ERRNO_OF(setxattr(file.c_str(), "user.x", "1", 1, 0)), EPERM);
  EXPECT_EQ(open_errno("file", O_WRONLY | O_TRUNC), EPERM);
  EXPECT_EQ(open_errno("file", O_RDONLY), 0);
  if (deviates(Deviation::immutable_shows_at_close)) {
    const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    EXPECT_EQ(write(fd, "more", 4), 4);
    EXPECT_NE(ERRNO_OF(fsync(fd)), 0);
    close(fd);
  } else {
    EXPECT_EQ(open_errno("file", O_WRONLY), EPERM);
  }
  EXPECT_EQ(ERRNO_OF(unlink(path("d/file").c_str())), EPERM);
  EXPECT_EQ(open_errno("d/new", O_WRONLY | O_CREAT), EPERM);
  EXPECT_EQ(ERRNO_OF(mkdir(path("d/new").c_str(), 0755)), EPERM);
  EXPECT_EQ(ERRNO_OF(rename(path("d/file").c_str(), path("new").c_str())), EPERM);
  EXPECT_EQ(open_errno("d/file", O_WRONLY), 0);  // what is in it may change
  ASSERT_EQ(sets("file", 0), 0);
  ASSERT_EQ(sets("d", 0), 0);
  filesystem().remount("");
  EXPECT_EQ(contents_of("file"), "text");
  EXPECT_EQ(ERRNO_OF(unlink(file.c_str())), 0);
}

TEST_P(FlagsTest, WhatWasWrittenBeforeStaysWritten) {
  make_file("file", std::string(100'000, 'w'));
  ASSERT_EQ(sets("file", FS_IMMUTABLE_FL), 0);
  filesystem().remount("");
  EXPECT_TRUE(contents_of("file") == std::string(100'000, 'w'));
  EXPECT_EQ(flags_of("file"), FS_IMMUTABLE_FL);
  ASSERT_EQ(sets("file", 0), 0);
}

TEST_P(FlagsTest, AppendOnlyFiles) {
  make_file("log", "first\n");
  ASSERT_EQ(sets("log", FS_APPEND_FL), 0);
  // ioctl_iflags(2), FS_APPEND_FL
  for (int i = 0; i < 3; ++i) {
    const OpenFile log(path("log"), O_WRONLY | O_APPEND);
    ASSERT_EQ(write(log.fd(), "next\n", 5), 5);
    ASSERT_EQ(ERRNO_OF(fsync(log.fd())), 0);
  }
  const std::string file = path("log");
  EXPECT_EQ(ERRNO_OF(truncate(file.c_str(), 2)), EPERM);
  EXPECT_EQ(ERRNO_OF(unlink(file.c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(rename(file.c_str(), path("new").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(link(file.c_str(), path("new").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(chmod(file.c_str(), 0600)), EPERM);
  EXPECT_EQ(open_errno("log", O_WRONLY | O_TRUNC), EPERM);
  EXPECT_EQ(ERRNO_OF(setxattr(file.c_str(), "user.x", "1", 1, 0)), EPERM);
  filesystem().remount("");
  EXPECT_EQ(contents_of("log"), "first\nnext\nnext\nnext\n");
  ASSERT_EQ(sets("log", 0), 0);
}

TEST_P(FlagsTest, GoingDown) {
  constexpr unsigned long kGoingDown = _IOR('X', 125, std::uint32_t);
  make_file("file", "text");
  const OpenFile root(path(""), O_RDONLY | O_DIRECTORY);
  const std::string full = path("");
  std::uint32_t flags = 2;  // write nothing more, not even the log
  EXPECT_EQ(errno_as(kAlice, [&] { return ioctl(open(full.c_str(), O_RDONLY), kGoingDown, &flags); }), EPERM);
  ASSERT_EQ(ERRNO_OF(ioctl(root.fd(), kGoingDown, &flags)), 0);
  EXPECT_EQ(ERRNO_OF(mkdir(path("new").c_str(), 0755)), EIO);
  EXPECT_EQ(ERRNO_OF(unlink(path("file").c_str())), EIO);
}

}  // namespace
}  // namespace ashlar::posix_test
