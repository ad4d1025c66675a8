// rename(2), renameat2(2).
#include <fcntl.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class RenameTest : public PosixTest {
 protected:
  [[nodiscard]] int renames(const std::string& from, const std::string& to, unsigned flags = 0) const {
    return ERRNO_OF(renameat2(AT_FDCWD, path(from).c_str(), AT_FDCWD, path(to).c_str(), flags));
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, RenameTest, ext4_and_an_image(), kind_name);

TEST_P(RenameTest, ErrorCodes) {
  make_file("file");
  make_directory("directory");
  make_directory("full");
  make_file("full/file");
  make_directory("full/below");
  // XSH rename, ERRORS
  EXPECT_EQ(renames("absent", "new"), ENOENT);
  EXPECT_EQ(renames("absent", "file"), ENOENT);
  EXPECT_EQ(renames("file", "absent/new"), ENOENT);
  EXPECT_EQ(renames("file", "directory"), EISDIR);
  EXPECT_EQ(renames("directory", "file"), ENOTDIR);
  EXPECT_EQ(renames("directory", "full"), ENOTEMPTY);
  EXPECT_EQ(renames("full", "full/below/inside"), EINVAL);
  EXPECT_EQ(renames("full", "full/inside"), EINVAL);
  EXPECT_EQ(renames("full/below", "full"), ENOTEMPTY);
  EXPECT_EQ(renames("file/", "new"), ENOTDIR);
  EXPECT_EQ(renames("file", "new/"), ENOTDIR);
  EXPECT_EQ(renames("directory", "new/"), 0);
  EXPECT_EQ(renames("new/.", "other"), EBUSY);
  EXPECT_EQ(renames("new", "full/.."), EBUSY);
  EXPECT_EQ(ERRNO_OF(rename(path("file").c_str(), "/dev/shm/elsewhere")), EXDEV);
}

TEST_P(RenameTest, Replacing) {
  make_file("file", "new");
  make_file("replaced", "old");
  make_file("held", "held");
  make_directory("directory");
  make_directory("empty");
  ASSERT_EQ(link(path("replaced").c_str(), path("other name").c_str()), 0);
  const OpenFile held(path("held"), O_RDONLY);
  EXPECT_EQ(renames("file", "replaced"), 0);
  EXPECT_EQ(contents_of("replaced"), "new");
  EXPECT_EQ(contents_of("other name"), "old");
  EXPECT_EQ(stat_of("other name").st_nlink, 1U);
  EXPECT_EQ(renames("replaced", "held"), 0);
  struct stat status {};
  ASSERT_EQ(fstat(held.fd(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0U);
  const ino_t moved = stat_of("directory").st_ino;
  EXPECT_EQ(renames("directory", "empty"), 0);
  EXPECT_EQ(stat_of("empty").st_ino, moved);
  EXPECT_EQ(names_in("").size(), GetParam() == Kind::ext4 ? 4U : 3U);
  // XSH rename: two names of one file: nothing happens.
  ASSERT_EQ(link(path("held").c_str(), path("twin").c_str()), 0);
  EXPECT_EQ(renames("held", "twin"), 0);
  EXPECT_TRUE(exists("held"));
  EXPECT_TRUE(exists("twin"));
  EXPECT_EQ(renames("held", "held"), 0);
  // XSH rename: symbolic links are renamed and replaced themselves.
  ASSERT_EQ(symlink("empty", path("link").c_str()), 0);
  EXPECT_EQ(renames("twin", "link"), 0);
  EXPECT_TRUE(S_ISREG(stat_of("link").st_mode));
}

TEST_P(RenameTest, MovingDirectoriesKeepsCounts) {
  // XSH rename; XBD 3.226: ".." of what is in a directory counts among its links.
  make_directory("a");
  make_directory("a/moving");
  make_file("a/moving/file", "x");
  make_directory("b");
  EXPECT_EQ(renames("a/moving", "b/moved"), 0);
  EXPECT_EQ(stat_of("a").st_nlink, 2U);
  EXPECT_EQ(stat_of("b").st_nlink, 3U);
  EXPECT_EQ(stat_of("b/moved/..").st_ino, stat_of("b").st_ino);
  EXPECT_EQ(contents_of("b/moved/file"), "x");
}

TEST_P(RenameTest, NoReplace) {
  make_file("file");
  make_file("other");
  // rename(2): RENAME_NOREPLACE, [EEXIST] even for the same file
  EXPECT_EQ(renames("file", "other", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(renames("file", "file", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(renames("file", "new", RENAME_NOREPLACE), 0);
  EXPECT_EQ(renames("absent", "other", RENAME_NOREPLACE), ENOENT);
  EXPECT_EQ(renames("new", "x", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(renames("new", "x", 1U << 10U), EINVAL);
}

TEST_P(RenameTest, Exchange) {
  make_directory("a");
  make_directory("b");
  make_file("a/file", "contents");
  make_directory("b/directory");
  make_file("b/directory/inner");
  const ino_t file = stat_of("a/file").st_ino;
  // rename(2): RENAME_EXCHANGE: any types; both must exist.
  EXPECT_EQ(renames("a/file", "b/directory", RENAME_EXCHANGE), 0);
  EXPECT_EQ(stat_of("b/directory").st_ino, file);
  EXPECT_TRUE(exists("a/file/inner"));
  EXPECT_EQ(stat_of("a").st_nlink, 3U);
  EXPECT_EQ(stat_of("b").st_nlink, 2U);
  EXPECT_EQ(stat_of("a/file/..").st_ino, stat_of("a").st_ino);
  EXPECT_EQ(renames("a/file", "absent", RENAME_EXCHANGE), ENOENT);
  EXPECT_EQ(renames("absent", "a/file", RENAME_EXCHANGE), ENOENT);
  EXPECT_EQ(renames("a", "a/file", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(renames("a/file", "a", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(renames("a/file", "b", RENAME_EXCHANGE), 0);
  EXPECT_EQ(stat_of("a").st_nlink, 3U);
}

TEST_P(RenameTest, Whiteout) {
  make_file("file", "contents");
  make_file("target");
  make_directory("directory");
  // rename(2): RENAME_WHITEOUT leaves a character device 0:0; not together with EXCHANGE; privileged.
  EXPECT_EQ(renames("file", "target", RENAME_WHITEOUT), 0);
  EXPECT_TRUE(S_ISCHR(stat_of("file").st_mode));
  EXPECT_EQ(stat_of("file").st_rdev, 0U);
  EXPECT_EQ(contents_of("target"), "contents");
  EXPECT_EQ(renames("directory", "moved", RENAME_WHITEOUT | RENAME_NOREPLACE), 0);
  EXPECT_TRUE(S_ISCHR(stat_of("directory").st_mode));
  EXPECT_EQ(renames("moved", "target", RENAME_WHITEOUT | RENAME_EXCHANGE), EINVAL);
}

TEST_P(RenameTest, WhiteoutAcrossDirectories) {
  make_directory("from");
  make_directory("from/directory");
  make_file("from/directory/inner");
  make_file("from/file", "contents");
  make_directory("to");
  make_file("to/replaced", "old");
  // rename(2), RENAME_WHITEOUT: as overlayfs moves a name out of its upper directory.
  EXPECT_EQ(renames("from/file", "to/replaced", RENAME_WHITEOUT), 0);
  EXPECT_EQ(renames("from/directory", "to/directory", RENAME_WHITEOUT), 0);
  EXPECT_EQ(contents_of("to/replaced"), "contents");
  EXPECT_TRUE(exists("to/directory/inner"));
  for (const char* name : {"from/file", "from/directory"}) {
    EXPECT_TRUE(S_ISCHR(stat_of(name).st_mode)) << name;
    EXPECT_EQ(stat_of(name).st_rdev, 0U) << name;
    EXPECT_EQ(stat_of(name).st_nlink, 1U) << name;
  }
  EXPECT_EQ(stat_of("from").st_nlink, 2U);
  EXPECT_EQ(stat_of("to").st_nlink, 3U);
  EXPECT_EQ(renames("to/replaced", "from/file", RENAME_WHITEOUT | RENAME_NOREPLACE), EEXIST);
  // A whiteout is a name like others.
  EXPECT_EQ(renames("to/replaced", "from/file"), 0);
  EXPECT_EQ(contents_of("from/file"), "contents");
  EXPECT_EQ(ERRNO_OF(unlink(path("from/directory").c_str())), 0);
  filesystem().remount("");
  EXPECT_EQ(names_in("from"), std::vector<std::string>{"file"});
}

TEST_P(RenameTest, Permissions) {
  make_directory("closed", 0755);
  make_file("closed/file");
  make_directory("open", 0777);
  make_directory("open/bobs", 0755);
  make_directory("sticky", 01777);
  make_file("sticky/bobs");
  give_to("sticky/bobs", kBob);
  give_to("open/bobs", kBob);
  const auto renames_as = [this](const Caller& caller, const std::string& from, const std::string& to) {
    const std::string old_path = path(from);
    const std::string new_path = path(to);
    return errno_as(caller, [&] { return rename(old_path.c_str(), new_path.c_str()); });
  };
  // XSH rename: [EACCES] write permission of both directories; a directory's ".." changes, so it must be writable.
  EXPECT_EQ(renames_as(kAlice, "closed/file", "open/file"), EACCES);
  make_directory("elsewhere", 0777);
  EXPECT_EQ(renames_as(kAlice, "open/bobs", "elsewhere/bobs"), EACCES);
  EXPECT_EQ(renames_as(kAlice, "open/bobs", "open/still bobs"), 0);
  // XSH rename: [EPERM] or [EACCES] in directories with S_ISVTX; EPERM on Linux.
  EXPECT_EQ(renames_as(kAlice, "sticky/bobs", "open/stolen"), EPERM);
  EXPECT_EQ(renames_as(kAlice, "sticky/bobs", "sticky/stolen"), EPERM);
  EXPECT_EQ(renames_as(kBob, "sticky/bobs", "sticky/mine"), 0);
}

}  // namespace
}  // namespace ashlar::posix_test
