// statvfs(3), syncfs(2), and what access(2) and faccessat(2) say.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <climits>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class VolumeTest : public PosixTest {
 protected:
  [[nodiscard]] struct statvfs space() const {
    struct statvfs result {};
    EXPECT_EQ(ERRNO_OF(statvfs(path("").c_str(), &result)), 0);
    return result;
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, VolumeTest, every_filesystem(), kind_name);

TEST_P(VolumeTest, Space) {
  constexpr std::size_t kBytes = 32U << 20;
  const struct statvfs before = space();
  // XBD sys/statvfs.h
  EXPECT_EQ(before.f_namemax, static_cast<unsigned long>(NAME_MAX));
  EXPECT_GT(before.f_bsize, 0U);
  ASSERT_GT(before.f_frsize, 0U);
  EXPECT_GE(before.f_blocks, before.f_bfree);
  EXPECT_GE(before.f_bfree, before.f_bavail);
  EXPECT_GT(before.f_bavail, 0U);
  EXPECT_LE(before.f_blocks * before.f_frsize, 512ULL << 20);  // no more than the device has
  EXPECT_GT(before.f_blocks * before.f_frsize, 400ULL << 20);
  EXPECT_GE(before.f_files, before.f_ffree);
  EXPECT_GT(before.f_favail, 0U);
  EXPECT_EQ(before.f_flag & ST_RDONLY, 0U);
  {
    const OpenFile file(path("file"), O_RDWR | O_CREAT);
    const std::string data(kBytes, 'd');
    ASSERT_EQ(write(file.fd(), data.data(), data.size()), static_cast<ssize_t>(kBytes));
    ASSERT_EQ(ERRNO_OF(syncfs(file.fd())), 0);
    struct statvfs of_file {};
    ASSERT_EQ(ERRNO_OF(fstatvfs(file.fd(), &of_file)), 0);
    EXPECT_EQ(of_file.f_fsid, before.f_fsid);
    ASSERT_EQ(ERRNO_OF(fsync(file.fd())), 0);
  }
  const struct statvfs after = space();
  EXPECT_LE(after.f_bfree + kBytes / after.f_frsize, before.f_bfree);
  EXPECT_EQ(after.f_blocks, before.f_blocks);
  EXPECT_GT(after.f_files - after.f_ffree, before.f_files - before.f_ffree);
  const std::string root = path("");
  EXPECT_EQ(errno_as(kAlice,
                     [&] {
                       struct statvfs theirs {};
                       return statvfs(root.c_str(), &theirs);
                     }),
            0);
  filesystem().remount("ro");
  EXPECT_NE(space().f_flag & ST_RDONLY, 0U);
  filesystem().remount("noexec");
  EXPECT_NE(space().f_flag & ST_NOEXEC, 0U);
}

TEST_P(VolumeTest, Access) {
  make_file("file", "#!/bin/true\n", 0640);
  give_to("file", kAlice);
  make_file("program", "#!/bin/true\n", 0711);
  ASSERT_EQ(symlink("absent", path("dangling").c_str()), 0);
  const std::string file = path("file");
  const std::string program = path("program");
  const std::string dangling = path("dangling");
  // XSH access: with the real IDs; [EACCES], [ENOENT], [EINVAL]
  EXPECT_EQ(errno_as(kAlice, [&] { return access(file.c_str(), R_OK | W_OK); }), 0);
  EXPECT_EQ(errno_as(kAlice, [&] { return access(file.c_str(), X_OK); }), EACCES);
  EXPECT_EQ(errno_as(kBob, [&] { return access(file.c_str(), F_OK); }), 0);
  EXPECT_EQ(errno_as(kBob, [&] { return access(file.c_str(), R_OK); }), EACCES);
  EXPECT_EQ(errno_as(kBob, [&] { return access(program.c_str(), X_OK); }), 0);
  EXPECT_EQ(ERRNO_OF(access(file.c_str(), X_OK)), EACCES);  // root, but nobody may execute it
  EXPECT_EQ(ERRNO_OF(access(file.c_str(), R_OK | W_OK)), 0);
  EXPECT_EQ(ERRNO_OF(access(file.c_str(), 8)), EINVAL);
  EXPECT_EQ(ERRNO_OF(access(dangling.c_str(), F_OK)), ENOENT);
  // faccessat(2): AT_SYMLINK_NOFOLLOW, AT_EACCESS
  EXPECT_EQ(ERRNO_OF(faccessat(AT_FDCWD, dangling.c_str(), F_OK, AT_SYMLINK_NOFOLLOW)), 0);
  EXPECT_EQ(errno_as(Caller{},
                     [&] {
                       if (setresgid(kBob.gid, kBob.gid, 0) != 0 || setresuid(0, kBob.uid, 0) != 0) return 0;
                       const bool really = faccessat(AT_FDCWD, file.c_str(), R_OK, 0) == 0;
                       return really ? faccessat(AT_FDCWD, file.c_str(), R_OK, AT_EACCESS) : 0;
                     }),
            EACCES);
}

}  // namespace
}  // namespace ashlar::posix_test
