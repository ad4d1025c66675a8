// open(2), creat(2): creating, flags, error codes and their precedence.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class OpenTest : public PosixTest {};
INSTANTIATE_TEST_SUITE_P(Posix, OpenTest, ext4_and_an_image(), kind_name);

TEST_P(OpenTest, ErrorCodes) {
  make_file("file", "text");
  make_directory("directory");
  ASSERT_EQ(symlink("file", path("link").c_str()), 0);
  ASSERT_EQ(symlink("loop", path("loop").c_str()), 0);
  ASSERT_EQ(symlink("absent", path("dangling").c_str()), 0);
  // XSH open, ERRORS
  EXPECT_EQ(open_errno("absent", O_RDONLY), ENOENT);
  EXPECT_EQ(open_errno("absent/below", O_RDONLY | O_CREAT), ENOENT);
  EXPECT_EQ(open_errno("file/below", O_RDONLY | O_CREAT), ENOTDIR);
  EXPECT_EQ(open_errno("file", O_RDONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(open_errno("directory", O_WRONLY), EISDIR);
  EXPECT_EQ(open_errno("directory", O_RDONLY | O_CREAT), EISDIR);
  EXPECT_EQ(open_errno("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
  EXPECT_EQ(open_errno("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT_EQ(open_errno("loop", O_RDONLY), ELOOP);
  // "If O_EXCL and O_CREAT are set, and path names a symbolic link, open() shall fail and set errno to [EEXIST]".
  EXPECT_EQ(open_errno("dangling", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(open_errno("dangling", O_WRONLY | O_CREAT), 0);
  EXPECT_TRUE(exists("absent"));
  // path_resolution(7): a name that ends in a slash is a directory's.
  EXPECT_EQ(open_errno("file/", O_RDONLY), ENOTDIR);
  EXPECT_EQ(open_errno("other/", O_RDWR | O_CREAT), EISDIR);
}

TEST_P(OpenTest, NameAndPathLimits) {
  // XBD limits.h: NAME_MAX and PATH_MAX; every byte but NUL and slash may be in a name (XBD 3.170).
  const std::string longest(NAME_MAX, 'n');
  EXPECT_EQ(open_errno(longest, O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(open_errno(longest + "n", O_WRONLY | O_CREAT), ENAMETOOLONG);
  EXPECT_EQ(open_errno(longest + "n", O_RDONLY), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(mkdir(path(longest + "n").c_str(), 0755)), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(symlink("x", path(longest + "n").c_str())), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(mkfifo(path(longest + "n").c_str(), 0644)), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(link(path(longest).c_str(), path(longest + "n").c_str())), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(rename(path(longest).c_str(), path(longest + "n").c_str())), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(unlink(path(longest + "n").c_str())), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(rmdir(path(longest + "n").c_str())), ENAMETOOLONG);
  EXPECT_EQ(open_errno(std::string(PATH_MAX, '/') + "x", O_RDONLY), ENAMETOOLONG);
  EXPECT_EQ(pathconf(path("").c_str(), _PC_NAME_MAX), NAME_MAX);
  std::string odd;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte != '/') odd += static_cast<char>(byte);
  }
  EXPECT_EQ(open_errno(odd, O_WRONLY | O_CREAT), 0);
  const std::vector<std::string> names = names_in("");
  EXPECT_NE(std::find(names.begin(), names.end(), odd), names.end());
}

TEST_P(OpenTest, PermissionsAndModes) {
  make_directory("closed", 0700);
  make_file("closed/file");
  make_file("unreadable", "", 0200);
  make_file("unwritable", "", 0444);
  make_directory("readonly", 0555);
  // XSH open, [EACCES]; path_resolution(7): search permission comes before existence.
  const auto opens = [this](const std::string& name, int flags) {
    const std::string full = path(name);
    return errno_as(kAlice, [full, flags] { return open(full.c_str(), flags, 0644); });
  };
  EXPECT_EQ(opens("closed/file", O_RDONLY), EACCES);
  EXPECT_EQ(opens("closed/absent", O_RDONLY), EACCES);
  EXPECT_EQ(opens("unreadable", O_RDONLY), EACCES);
  EXPECT_EQ(opens("unwritable", O_WRONLY), EACCES);
  EXPECT_EQ(opens("unwritable", O_RDONLY | O_TRUNC), EACCES);
  EXPECT_EQ(opens("readonly/new", O_WRONLY | O_CREAT), EACCES);
  // open(2): O_NOATIME is for the owner.
  EXPECT_EQ(opens("unwritable", O_RDONLY | O_NOATIME), EPERM);
  // XSH umask
  static_cast<void>(umask(027));
  make_file("masked", "", 06777);
  EXPECT_EQ(mode_of("masked"), 06750U);
  make_directory("masked directory", 0777);
  EXPECT_EQ(mode_of("masked directory"), 0750U);
  static_cast<void>(umask(0));
  // XSH open: with O_CREAT the mode does not matter for this opening.
  make_directory("alices", 0777);
  const std::string created = path("alices/file");
  EXPECT_EQ(errno_as(kAlice,
                     [&] {
                       const int fd = open(created.c_str(), O_RDWR | O_CREAT, 0);
                       return write(fd, "x", 1) == 1 ? 0 : -1;
                     }),
            0);
  EXPECT_EQ(mode_of("alices/file"), 0U);
  EXPECT_EQ(contents_of("alices/file"), "x");
  EXPECT_EQ(opens("alices/file", O_RDONLY), EACCES);
}

TEST_P(OpenTest, OwnerAndGroupOfWhatIsMade) {
  make_directory("plain", 0777);
  make_directory("setgid", 02777);
  ASSERT_EQ(chown(path("setgid").c_str(), 0, 3000), 0);
  ASSERT_EQ(chmod(path("setgid").c_str(), 02777), 0);
  const auto makes = [this](const std::string& directory) {
    const std::string base = path(directory);
    return errno_as(kAlice, [base] {
      const int fd = open((base + "/file").c_str(), O_WRONLY | O_CREAT, 0644);
      return fd < 0 ? -1 : mkdir((base + "/below").c_str(), 0755);
    });
  };
  ASSERT_EQ(makes("plain"), 0);
  ASSERT_EQ(makes("setgid"), 0);
  // XSH open: user ID of the process; group ID of the process or, in a setgid directory (inode(7)), of the directory.
  EXPECT_EQ(stat_of("plain/file").st_uid, kAlice.uid);
  EXPECT_EQ(stat_of("plain/file").st_gid, kAlice.gid);
  EXPECT_EQ(stat_of("setgid/file").st_gid, 3000U);
  EXPECT_EQ(stat_of("setgid/below").st_gid, 3000U);
  EXPECT_EQ(mode_of("setgid/below"), 02755U);
  EXPECT_EQ(mode_of("setgid/file"), 0644U);
  // inode(7), S_ISGID: who is not in the group makes no executable set-group-ID files there.
  const std::string program = path("setgid/program");
  ASSERT_EQ(errno_as(kAlice, [program] { return open(program.c_str(), O_WRONLY | O_CREAT, 02755); }), 0);
  EXPECT_EQ(mode_of("setgid/program"), 0755U);
}

TEST_P(OpenTest, TruncateAndAppend) {
  make_file("file", "some text");
  // XSH open, O_TRUNC: length 0, mode and owner unchanged.
  ASSERT_EQ(open_errno("file", O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(stat_of("file").st_size, 0);
  const OpenFile first(path("file"), O_WRONLY | O_APPEND);
  const OpenFile second(path("file"), O_RDWR);
  ASSERT_EQ(pwrite(second.fd(), "01234", 5, 0), 5);
  // XSH open, O_APPEND: the offset is set to the end before each write.
  ASSERT_EQ(lseek(first.fd(), 0, SEEK_SET), 0);
  ASSERT_EQ(write(first.fd(), "abc", 3), 3);
  EXPECT_EQ(contents_of("file"), "01234abc");
  EXPECT_EQ(lseek(first.fd(), 0, SEEK_CUR), 8);
  // pwrite(2), BUGS: on Linux it appends as well.
  ASSERT_EQ(pwrite(first.fd(), "Z", 1, 0), 1);
  EXPECT_EQ(contents_of("file"), "01234abcZ");
}

TEST_P(OpenTest, AppendingTogetherLosesNothing) {
  // XSH write: no other modification between changing the offset and writing.
  constexpr int kWriters = 4;
  constexpr int kLines = 500;
  make_file("log");
  std::vector<pid_t> children;
  for (int writer = 0; writer < kWriters; ++writer) {
    const pid_t child = fork();
    if (child == 0) {
      const int fd = open(path("log").c_str(), O_WRONLY | O_APPEND);
      const std::string line(7, static_cast<char>('a' + writer));
      bool sound = fd >= 0;
      for (int i = 0; i < kLines && sound; ++i) sound = write(fd, (line + "\n").data(), 8) == 8;
      _exit(sound ? 0 : 1);
    }
    children.push_back(child);
  }
  ASSERT_NO_FATAL_FAILURE(expect_success(children));
  const std::string all = contents_of("log");
  ASSERT_EQ(all.size(), std::size_t{8} * kWriters * kLines);
  std::vector<int> seen(kWriters);
  for (std::size_t at = 0; at < all.size(); at += 8) {
    ASSERT_EQ(all.substr(at, 8), std::string(7, all[at]) + "\n") << at;
    ++seen.at(static_cast<std::size_t>(all[at] - 'a'));
  }
  EXPECT_EQ(seen, std::vector<int>(kWriters, kLines));
}

TEST_P(OpenTest, ReadOnlyMount) {
  make_file("file");
  filesystem().remount("ro");
  // XSH: [EROFS] of each; but what exists already is EEXIST first.
  EXPECT_EQ(open_errno("file", O_RDONLY), 0);
  EXPECT_EQ(open_errno("file", O_WRONLY), EROFS);
  EXPECT_EQ(open_errno("new", O_WRONLY | O_CREAT), EROFS);
  EXPECT_EQ(ERRNO_OF(mkdir(path("new").c_str(), 0755)), EROFS);
  EXPECT_EQ(ERRNO_OF(mkdir(path("file").c_str(), 0755)), EEXIST);
  EXPECT_EQ(ERRNO_OF(unlink(path("file").c_str())), EROFS);
  EXPECT_EQ(ERRNO_OF(chmod(path("file").c_str(), 0600)), EROFS);
  EXPECT_EQ(ERRNO_OF(rename(path("file").c_str(), path("new").c_str())), EROFS);
  EXPECT_EQ(ERRNO_OF(access(path("file").c_str(), W_OK)), EROFS);
  EXPECT_EQ(ERRNO_OF(truncate(path("file").c_str(), 0)), EROFS);
}

}  // namespace
}  // namespace ashlar::posix_test
