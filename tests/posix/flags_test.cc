// Inode flags: ioctl_iflags(2), chattr(1), and the ioctls of whole filesystems.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <thread>

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
  // ioctl_iflags(2); chattr(1): new files have those of their directory, D is for directories.
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
  // ioctl_xfs_fsgetxattr(2), ioctl_iflags(2), ioctl_getfslabel(2)
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
  // ioctl_iflags(2), FS_IMMUTABLE_FL: from the moment it is set.
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

TEST_P(FlagsTest, AppendOnlyFilesOnlyGrow) {
  make_file("log", std::string(5000, 'l'));
  ASSERT_EQ(sets("log", FS_APPEND_FL), 0);
  const std::string file = path("log");
  const std::array<timespec, 2> times = {timespec{1, 0}, timespec{1, 0}};
  // utimensat(2), EPERM; to the current time is allowed.
  EXPECT_EQ(ERRNO_OF(utimensat(AT_FDCWD, file.c_str(), times.data(), 0)), EPERM);
  EXPECT_EQ(ERRNO_OF(utimensat(AT_FDCWD, file.c_str(), nullptr, 0)), 0);
  if (deviates(Deviation::immutable_shows_at_close)) {
    {
      const OpenFile log(path("log"), O_WRONLY);
      ASSERT_EQ(pwrite(log.fd(), "forged", 6, 100), 6);
      EXPECT_EQ(ERRNO_OF(fsync(log.fd())), EPERM);
    }
    const OpenFile direct(path("log"), O_WRONLY | O_DIRECT);
    alignas(4096) static std::array<char, 4096> page{};
    EXPECT_EQ(ERRNO_OF(pwrite(direct.fd(), page.data(), page.size(), 0)), EPERM);
  } else {
    EXPECT_EQ(open_errno("log", O_WRONLY), EPERM);
  }
  {
    const OpenFile log(path("log"), O_WRONLY | O_APPEND);
    ASSERT_EQ(write(log.fd(), "next", 4), 4);
    EXPECT_EQ(ERRNO_OF(fallocate(log.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)), EPERM);
  }
  filesystem().remount("");
  EXPECT_TRUE(contents_of("log") == std::string(5000, 'l') + "next");
  ASSERT_EQ(sets("log", 0), 0);
}

TEST_P(FlagsTest, TimesOfProtectedFiles) {
  make_file("file", "text");
  make_directory("d");
  let_time_pass();
  constexpr timespec kOmit{0, UTIME_OMIT};
  constexpr timespec kNow{0, UTIME_NOW};
  constexpr timespec kGiven{1, 0};
  using Times = std::array<timespec, 2>;
  for (const unsigned flag : {unsigned{FS_IMMUTABLE_FL}, unsigned{FS_APPEND_FL}}) {
    for (const std::string name : {"file", "d"}) {
      SCOPED_TRACE(name + (flag == FS_IMMUTABLE_FL ? " immutable" : " append-only"));
      ASSERT_EQ(sets(name, flag), 0);
      const auto touches = [&](const timespec* times) {
        return ERRNO_OF(utimensat(AT_FDCWD, path(name).c_str(), times, 0));
      };
      // utimensat(2), EPERM: all but setting both to the current time, which append-only files allow.
      for (const Times& times : {Times{kOmit, kGiven}, Times{kGiven, kOmit}, Times{kOmit, kNow}, Times{kNow, kOmit},
                                 Times{kGiven, kGiven}, Times{kNow, kGiven}, Times{kGiven, kNow}}) {
        EXPECT_EQ(touches(times.data()), EPERM) << times[0].tv_nsec << " " << times[1].tv_nsec;
      }
      const int expected = flag == FS_IMMUTABLE_FL ? EPERM : 0;
      EXPECT_EQ(touches(nullptr), expected);
      EXPECT_EQ(touches(Times{kNow, kNow}.data()), expected);
      EXPECT_EQ(touches(Times{kOmit, kOmit}.data()), 0);
      ASSERT_EQ(sets(name, 0), 0);
    }
  }
}

TEST_P(FlagsTest, TimesOfWhatWasDoneBefore) {
  // XSH fsync: what was done to the file before it became immutable, its times as well, is written without an error.
  struct stat before {};
  {
    const OpenFile file(path("file"), O_RDWR | O_CREAT);
    ASSERT_EQ(write(file.fd(), "text", 4), 4);
    ASSERT_EQ(ERRNO_OF(fsync(file.fd())), 0);
    let_time_pass();
    ASSERT_EQ(pwrite(file.fd(), "T", 1, 0), 1);
    ASSERT_EQ(ERRNO_OF(fsetxattr(file.fd(), "user.x", "1", 1, 0)), 0);
    ASSERT_EQ(sets("file", FS_IMMUTABLE_FL), 0);
    EXPECT_EQ(ERRNO_OF(fsync(file.fd())), 0);
    ASSERT_EQ(fstat(file.fd(), &before), 0);
  }
  make_file("renamed", "text");
  ASSERT_EQ(ERRNO_OF(setxattr(path("renamed").c_str(), "user.x", "1", 1, 0)), 0);
  ASSERT_EQ(ERRNO_OF(rename(path("renamed").c_str(), path("named").c_str())), 0);
  ASSERT_EQ(sets("named", FS_IMMUTABLE_FL), 0);
  {
    const OpenFile reader(path("named"), O_RDONLY);
    EXPECT_EQ(ERRNO_OF(fsync(reader.fd())), 0);
  }
  filesystem().remount("");
  EXPECT_EQ(contents_of("file"), "Text");
  EXPECT_EQ(stat_of("file").st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(stat_of("file").st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  ASSERT_EQ(sets("file", 0), 0);
  ASSERT_EQ(sets("named", 0), 0);
}

TEST_P(FlagsTest, AppendOnlyFilesAreNotTruncated) {
  make_file("log", "text");
  const OpenFile log(path("log"), O_RDWR | O_APPEND);
  ASSERT_EQ(sets("log", FS_APPEND_FL), 0);
  // truncate(2), EPERM; whatever the size.
  for (const off_t size : {0, 2, 4, 10, 10'000}) {
    EXPECT_EQ(ERRNO_OF(truncate(path("log").c_str(), size)), EPERM) << size;
    EXPECT_EQ(ERRNO_OF(ftruncate(log.fd(), size)), EPERM) << size;
  }
  EXPECT_EQ(contents_of("log"), "text");
  // ioctl_iflags(2): it may grow, and space may be taken for that.
  EXPECT_EQ(write(log.fd(), "more", 4), 4);
  EXPECT_EQ(ERRNO_OF(fallocate(log.fd(), FALLOC_FL_KEEP_SIZE, 0, 10'000)), 0);
  EXPECT_EQ(ERRNO_OF(fallocate(log.fd(), FALLOC_FL_ZERO_RANGE, 0, 4)), EPERM);
  EXPECT_EQ(contents_of("log"), "textmore");
  ASSERT_EQ(sets("log", 0), 0);
}

TEST_P(FlagsTest, EveryOtherWayIntoAnImmutableFile) {
  make_file("file", std::string(10'000, 'i'));
  make_file("other", std::string(10'000, 'o'));
  ASSERT_EQ(ERRNO_OF(setxattr(path("file").c_str(), "user.x", "1", 1, 0)), 0);
  // Opened before, so that ext4 lets them be.
  const OpenFile file(path("file"), O_RDWR);
  const OpenFile direct(path("file"), O_RDWR | O_DIRECT);
  const OpenFile other(path("other"), O_RDWR);
  ASSERT_EQ(sets("file", FS_IMMUTABLE_FL), 0);
  // ioctl_iflags(2), FS_IMMUTABLE_FL
  EXPECT_EQ(ERRNO_OF(removexattr(path("file").c_str(), "user.x")), EPERM);
  EXPECT_EQ(ERRNO_OF(ftruncate(file.fd(), 100)), EPERM);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_KEEP_SIZE, 0, 100'000)), EPERM);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_ZERO_RANGE, 0, 100)), EPERM);
  EXPECT_EQ(ERRNO_OF(futimens(file.fd(), nullptr)), EPERM);
  EXPECT_EQ(ERRNO_OF(fchmod(file.fd(), 0600)), EPERM);
  alignas(4096) static std::array<char, 4096> page{};
  EXPECT_EQ(ERRNO_OF(pwrite(direct.fd(), page.data(), page.size(), 0)), EPERM);
  EXPECT_EQ(ERRNO_OF(rename(path("other").c_str(), path("file").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(renameat2(AT_FDCWD, path("other").c_str(), AT_FDCWD, path("file").c_str(), RENAME_EXCHANGE)),
            EPERM);
  off64_t from = 0;
  EXPECT_EQ(ERRNO_OF(copy_file_range(other.fd(), &from, file.fd(), nullptr, 100, 0)), EPERM);
  EXPECT_TRUE(contents_of("file") == std::string(10'000, 'i'));
  ASSERT_EQ(sets("file", 0), 0);
}

TEST_P(FlagsTest, AppendOnlyDirectories) {
  make_directory("d");
  make_file("d/old");
  make_file("elsewhere");
  ASSERT_EQ(sets("d", FS_APPEND_FL), 0);
  // ioctl_iflags(2), FS_APPEND_FL: names come and never go.
  make_file("d/new");
  make_directory("d/below");
  EXPECT_EQ(ERRNO_OF(link(path("elsewhere").c_str(), path("d/linked").c_str())), 0);
  EXPECT_EQ(ERRNO_OF(symlink("x", path("d/symlink").c_str())), 0);
  EXPECT_EQ(ERRNO_OF(rename(path("elsewhere").c_str(), path("d/moved").c_str())), 0);
  EXPECT_EQ(ERRNO_OF(unlink(path("d/old").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(rmdir(path("d/below").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(rename(path("d/old").c_str(), path("out").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(rename(path("d/old").c_str(), path("d/renamed").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(rename(path("d/old").c_str(), path("d/new").c_str())), EPERM);
  ASSERT_EQ(sets("d", 0), 0);
  EXPECT_EQ(names_in("d"), (std::vector<std::string>{"below", "linked", "moved", "new", "old", "symlink"}));
}

TEST_P(FlagsTest, NoCopyOnWrite) {
  // chattr(1), C: inherited, and only how contents are kept: they are what was written.
  make_directory("d");
  unsigned flags = 0;
  {
    const OpenFile directory(path("d"), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(ioctl(directory.fd(), FS_IOC_GETFLAGS, &flags), 0);
    flags |= FS_NOCOW_FL;
    const int expected = deviates(Deviation::has_no_copy_on_write_flag) ? 0 : EOPNOTSUPP;
    EXPECT_EQ(ERRNO_OF(ioctl(directory.fd(), FS_IOC_SETFLAGS, &flags)), expected);
    if (expected != 0) return;
  }
  std::string expected(300'000, 'a');
  make_file("d/file", expected);
  for (const std::size_t offset : {0U, 4096U, 100'001U}) {
    const OpenFile file(path("d/file"), O_RDWR);
    ASSERT_EQ(ioctl(file.fd(), FS_IOC_GETFLAGS, &flags), 0);
    EXPECT_NE(flags & FS_NOCOW_FL, 0U);
    const std::string change(10'000, static_cast<char>('b' + offset % 7));
    ASSERT_EQ(pwrite(file.fd(), change.data(), change.size(), static_cast<off_t>(offset)), 10'000);
    ASSERT_EQ(fsync(file.fd()), 0);
    expected.replace(offset, change.size(), change);
  }
  filesystem().remount("");
  EXPECT_TRUE(contents_of("d/file") == expected);
  EXPECT_EQ(ERRNO_OF(unlink(path("d/file").c_str())), 0);
}

TEST_P(FlagsTest, TheLabel) {
  const std::string full = path("");
  std::array<char, FSLABEL_MAX> label{"a label"};
  // ioctl_getfslabel(2), ioctl_setfslabel(2)
  EXPECT_EQ(errno_as(kAlice,
                     [&] { return ioctl(open(full.c_str(), O_RDONLY | O_CLOEXEC), FS_IOC_SETFSLABEL, label.data()); }),
            EPERM);
  {
    const OpenFile root(path(""), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(ERRNO_OF(ioctl(root.fd(), FS_IOC_SETFSLABEL, label.data())), 0);
    std::array<char, FSLABEL_MAX> too_long{};
    too_long.fill('x');
    EXPECT_EQ(ERRNO_OF(ioctl(root.fd(), FS_IOC_SETFSLABEL, too_long.data())), EINVAL);
  }
  const auto expect_label = [this] {
    const OpenFile again(path(""), O_RDONLY | O_DIRECTORY);
    std::array<char, FSLABEL_MAX> found{};
    ASSERT_EQ(ERRNO_OF(ioctl(again.fd(), FS_IOC_GETFSLABEL, found.data())), 0);
    EXPECT_STREQ(found.data(), "a label");
    if (GetParam() == Kind::ext4) return;
    std::string status(65536, '\0');  // what ashlarctl stat shows
    ASSERT_GT(fgetxattr(again.fd(), "user.ashlarfs.status", status.data(), status.size()), 0);
    EXPECT_NE(status.find("\"label\":\"a label\""), std::string::npos);
  };
  expect_label();
  filesystem().remount("");
  expect_label();
  filesystem().remount("ro");
  expect_label();
}

TEST_P(FlagsTest, Trimming) {
  constexpr std::size_t kBytes = 32U << 20;
  make_file("keep", std::string(kBytes, 'k'));
  make_file("go", std::string(kBytes, 'g'));
  ASSERT_EQ(ERRNO_OF(unlink(path("go").c_str())), 0);
  const OpenFile root(path(""), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(ERRNO_OF(syncfs(root.fd())), 0);
  const std::string full = path("");
  // ioctl_fitrim(2)
  fstrim_range range{0, ~0ULL, 0};
  EXPECT_EQ(errno_as(kAlice, [&] { return ioctl(open(full.c_str(), O_RDONLY | O_CLOEXEC), FITRIM, &range); }), EPERM);
  ASSERT_EQ(ERRNO_OF(ioctl(root.fd(), FITRIM, &range)), 0);
  EXPECT_GT(range.len, 300U << 20);  // of 512 MiB
  EXPECT_LT(range.len, (512U << 20) - kBytes);
  range = {1U << 30, ~0ULL, 0};
  EXPECT_EQ(ERRNO_OF(ioctl(root.fd(), FITRIM, &range)), EINVAL);
  range = {100U << 20, 50U << 20, 0};
  EXPECT_EQ(ERRNO_OF(ioctl(root.fd(), FITRIM, &range)), 0);
  EXPECT_LE(range.len, 50U << 20);
  EXPECT_TRUE(contents_of("keep") == std::string(kBytes, 'k'));
}

TEST_P(FlagsTest, TrimmingWhileOthersWrite) {
  // ioctl_fitrim(2): free space alone.
  constexpr std::size_t kBytes = 1U << 20;
  std::thread trimmer([&] {
    const OpenFile root(path(""), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 20; ++i) {
      fstrim_range range{0, ~0ULL, 0};
      EXPECT_EQ(ERRNO_OF(ioctl(root.fd(), FITRIM, &range)), 0);
    }
  });
  for (int i = 0; i < 40; ++i) {
    const OpenFile file(path("file" + std::to_string(i % 20)), O_RDWR | O_CREAT | O_TRUNC);
    const std::string contents(kBytes, static_cast<char>('a' + i % 20));
    ASSERT_EQ(write(file.fd(), contents.data(), contents.size()), static_cast<ssize_t>(kBytes));
    ASSERT_EQ(ERRNO_OF(fdatasync(file.fd())), 0);
  }
  trimmer.join();
  filesystem().remount("");
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(contents_of("file" + std::to_string(i)) == std::string(kBytes, static_cast<char>('a' + i)));
  }
}

TEST_P(FlagsTest, GoingDown) {
  // XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN: from then on EIO; for CAP_SYS_ADMIN.
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
