// O_TMPFILE of open(2), and the birth time of statx(2).
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class UnnamedTest : public PosixTest {
 protected:
  [[nodiscard]] struct statx statx_of(const std::string& name) const {
    struct statx result {};
    EXPECT_EQ(ERRNO_OF(statx(AT_FDCWD, path(name).c_str(), AT_SYMLINK_NOFOLLOW, STATX_ALL, &result)), 0) << name;
    return result;
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, UnnamedTest, ext4_and_an_image(), kind_name);

TEST_P(UnnamedTest, AFileThatGetsItsNameLater) {
  make_directory("d");
  // open(2), O_TMPFILE
  {
    const OpenFile file(path("d"), O_TMPFILE | O_RDWR, 0640);
    ASSERT_GE(file.fd(), 0);
    struct stat status {};
    ASSERT_EQ(fstat(file.fd(), &status), 0);
    EXPECT_EQ(status.st_nlink, 0U);
    EXPECT_EQ(status.st_mode, S_IFREG | 0640U);
    EXPECT_TRUE(names_in("d").empty());
    const std::string text(100'000, 'u');
    ASSERT_EQ(write(file.fd(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    const std::string self = "/proc/self/fd/" + std::to_string(file.fd());
    ASSERT_EQ(ERRNO_OF(linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path("d/name").c_str(), AT_SYMLINK_FOLLOW)), 0);
    ASSERT_EQ(fstat(file.fd(), &status), 0);
    EXPECT_EQ(status.st_nlink, 1U);
  }
  EXPECT_TRUE(contents_of("d/name") == std::string(100'000, 'u'));
  filesystem().remount("");
  EXPECT_TRUE(contents_of("d/name") == std::string(100'000, 'u'));
  EXPECT_EQ(stat_of("d/name").st_nlink, 1U);
}

TEST_P(UnnamedTest, WhatIsRefused) {
  make_directory("closed", 0755);
  make_file("file");
  EXPECT_EQ(open_errno("closed", O_TMPFILE | O_RDONLY), EINVAL);
  EXPECT_EQ(open_errno("file", O_TMPFILE | O_RDWR), ENOTDIR);
  EXPECT_EQ(open_errno("absent", O_TMPFILE | O_RDWR), ENOENT);
  const std::string closed = path("closed");
  EXPECT_EQ(errno_as(kAlice, [&] { return open(closed.c_str(), O_TMPFILE | O_RDWR, 0600); }), EACCES);
  // With O_EXCL it stays unnamed.
  const OpenFile file(path("closed"), O_TMPFILE | O_RDWR | O_EXCL, 0600);
  const std::string self = "/proc/self/fd/" + std::to_string(file.fd());
  EXPECT_EQ(ERRNO_OF(linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path("name").c_str(), AT_SYMLINK_FOLLOW)), ENOENT);
}

TEST_P(UnnamedTest, BirthTimesStay) {
  make_file("file");
  make_directory("d");
  const struct statx before = statx_of("file");
  EXPECT_NE(before.stx_mask & STATX_BTIME, 0U);
  EXPECT_GT(before.stx_btime.tv_sec, 1'600'000'000);
  EXPECT_NE(statx_of("d").stx_mask & STATX_BTIME, 0U);
  const std::array<timespec, 2> old = {timespec{1000, 0}, timespec{1000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path("file").c_str(), old.data(), 0), 0);
  make_file("file", "more");
  ASSERT_EQ(rename(path("file").c_str(), path("d/file").c_str()), 0);
  filesystem().remount("");
  const struct statx after = statx_of("d/file");
  EXPECT_EQ(after.stx_btime.tv_sec, before.stx_btime.tv_sec);
  EXPECT_EQ(after.stx_btime.tv_nsec, before.stx_btime.tv_nsec);
  EXPECT_EQ(after.stx_size, 4U);
  EXPECT_EQ(after.stx_ino, stat_of("d/file").st_ino);
}

}  // namespace
}  // namespace ashlar::posix_test
