// What is open and has no name any more: every operation on a descriptor works as before (XSH unlink, rmdir).
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

constexpr off_t kBlock = 4096;

// A file of eight blocks of 'x', opened to read and write, whose only name is gone.
class UnlinkedTest : public PosixTest {
 protected:
  void SetUp() override {
    PosixTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    make_file("file", std::string(8 * kBlock, 'x'));
    file_ = std::make_unique<OpenFile>(path("file"), O_RDWR);
    ASSERT_EQ(unlink(path("file").c_str()), 0);
    ASSERT_EQ(status().st_nlink, 0U);
  }
  void TearDown() override {
    if (!file_) return;
    EXPECT_EQ(status().st_nlink, 0U);
    EXPECT_EQ(ERRNO_OF(fsync(fd())), 0);
    file_.reset();
    // Nothing of it is left: the check finds no fault, and no name has come back.
    filesystem().remount("");
    EXPECT_FALSE(exists("file"));
  }
  [[nodiscard]] int fd() const { return file_->fd(); }
  [[nodiscard]] struct stat status() const {
    struct stat result {};
    EXPECT_EQ(fstat(fd(), &result), 0);
    return result;
  }
  [[nodiscard]] std::string bytes_at(off_t offset, std::size_t length) const {
    std::string bytes(length, '?');
    EXPECT_EQ(pread(fd(), bytes.data(), length, offset), static_cast<ssize_t>(length));
    return bytes;
  }

 private:
  std::unique_ptr<OpenFile> file_;
};
INSTANTIATE_TEST_SUITE_P(Posix, UnlinkedTest, every_filesystem(), kind_name);

TEST_P(UnlinkedTest, Attributes) {
  const std::array<timespec, 2> times = {timespec{1000, 5}, timespec{2000, 6}};
  EXPECT_EQ(ERRNO_OF(fchmod(fd(), 0604)), 0);
  EXPECT_EQ(ERRNO_OF(fchown(fd(), 7, 8)), 0);
  EXPECT_EQ(ERRNO_OF(futimens(fd(), times.data())), 0);
  EXPECT_EQ(status().st_mode, S_IFREG | 0604U);
  EXPECT_EQ(status().st_uid, 7U);
  EXPECT_EQ(status().st_atim.tv_sec, 1000);
  EXPECT_EQ(status().st_mtim.tv_nsec, 6);
  // fsetxattr(2), fgetxattr(2), flistxattr(2), fremovexattr(2)
  const std::string large(10'000, 'l');
  EXPECT_EQ(ERRNO_OF(fsetxattr(fd(), "user.small", "value", 5, XATTR_CREATE)), 0);
  EXPECT_EQ(ERRNO_OF(fsetxattr(fd(), "user.large", large.data(), large.size(), 0)), 0);
  EXPECT_EQ(ERRNO_OF(fsetxattr(fd(), "user.small", "other", 5, XATTR_CREATE)), EEXIST);
  std::string value(large.size(), '?');
  EXPECT_EQ(fgetxattr(fd(), "user.large", value.data(), value.size()), static_cast<ssize_t>(large.size()));
  EXPECT_TRUE(value == large);
  EXPECT_EQ(flistxattr(fd(), nullptr, 0), static_cast<ssize_t>(sizeof "user.small" + sizeof "user.large"));
  EXPECT_EQ(ERRNO_OF(fremovexattr(fd(), "user.small")), 0);
  EXPECT_EQ(ERRNO_OF(fgetxattr(fd(), "user.small", nullptr, 0)), ENODATA);
}

TEST_P(UnlinkedTest, AccessControlLists) {
  struct List {
    posix_acl_xattr_header header{POSIX_ACL_XATTR_VERSION};
    std::array<posix_acl_xattr_entry, 5> entries{{{ACL_USER_OBJ, 6, ~0U},
                                                  {ACL_USER, 4, kAlice.uid},
                                                  {ACL_GROUP_OBJ, 0, ~0U},
                                                  {ACL_MASK, 6, ~0U},
                                                  {ACL_OTHER, 0, ~0U}}};
  };
  const List list;
  List found;
  constexpr const char* kName = "system.posix_acl_access";
  // acl(5): kept, seen in the mode, changed by chmod(2)
  ASSERT_EQ(ERRNO_OF(fsetxattr(fd(), kName, &list, sizeof list, 0)), 0);
  EXPECT_EQ(status().st_mode & 07777U, 0660U);
  ASSERT_EQ(ERRNO_OF(fchmod(fd(), 0640)), 0);
  ASSERT_EQ(fgetxattr(fd(), kName, &found, sizeof found), static_cast<ssize_t>(sizeof found));
  EXPECT_EQ(found.entries[3].e_perm, 4);
  EXPECT_EQ(found.entries[1].e_id, kAlice.uid);
  const std::string self = "/proc/self/fd/" + std::to_string(fd());
  EXPECT_EQ(errno_as(kAlice, [&] { return open(self.c_str(), O_RDONLY); }), 0);
  EXPECT_EQ(errno_as(kBob, [&] { return open(self.c_str(), O_RDONLY); }), EACCES);
}

TEST_P(UnlinkedTest, Space) {
  // fallocate(2), lseek(2), truncate(2)
  EXPECT_EQ(ERRNO_OF(fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * kBlock, 2 * kBlock)), 0);
  EXPECT_EQ(lseek(fd(), 0, SEEK_HOLE), 2 * kBlock);
  EXPECT_EQ(lseek(fd(), 2 * kBlock, SEEK_DATA), 4 * kBlock);
  EXPECT_EQ(ERRNO_OF(fallocate(fd(), FALLOC_FL_ZERO_RANGE, 5 * kBlock, 10)), 0);
  EXPECT_EQ(bytes_at(5 * kBlock, 11), std::string(10, '\0') + "x");
  EXPECT_EQ(ERRNO_OF(fallocate(fd(), 0, 0, 20 * kBlock)), 0);
  EXPECT_EQ(status().st_size, 20 * kBlock);
  EXPECT_EQ(ERRNO_OF(ftruncate(fd(), 3 * kBlock + 1)), 0);
  EXPECT_EQ(ERRNO_OF(ftruncate(fd(), 4 * kBlock)), 0);
  EXPECT_EQ(bytes_at(0, 3), "xxx");
  EXPECT_EQ(bytes_at(2 * kBlock, 2 * kBlock), std::string(2 * kBlock, '\0'));
  struct statvfs space {};
  EXPECT_EQ(ERRNO_OF(fstatvfs(fd(), &space)), 0);
  EXPECT_GT(space.f_bfree, 0U);
}

TEST_P(UnlinkedTest, Contents) {
  // XSH mmap: a shared mapping outlives the name, and the descriptor sees what is stored through it.
  auto* const mapped = static_cast<char*>(mmap(nullptr, 8 * kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0));
  ASSERT_NE(mapped, MAP_FAILED);
  mapped[5 * kBlock] = 'M';
  EXPECT_EQ(ERRNO_OF(msync(mapped, 8 * kBlock, MS_SYNC)), 0);
  EXPECT_EQ(munmap(mapped, 8 * kBlock), 0);
  EXPECT_EQ(bytes_at(5 * kBlock, 2), "Mx");
  // copy_file_range(2), both ways
  make_file("other", "other");
  {
    const OpenFile other(path("other"), O_RDWR);
    off64_t to = kBlock;
    EXPECT_EQ(copy_file_range(other.fd(), nullptr, fd(), &to, 5, 0), 5);
    off64_t from = 5 * kBlock;
    EXPECT_EQ(copy_file_range(fd(), &from, other.fd(), nullptr, 2, 0), 2);
  }
  EXPECT_EQ(bytes_at(kBlock, 6), "otherx");
  EXPECT_EQ(contents_of("other"), "otherMx");
  // open(2), O_DIRECT, of the descriptor's own name; pwritev(2), fdatasync(2)
  const OpenFile direct("/proc/self/fd/" + std::to_string(fd()), O_RDWR | O_DIRECT);
  alignas(4096) static std::array<char, kBlock> page{};
  page.fill('D');
  EXPECT_EQ(pwrite(direct.fd(), page.data(), page.size(), 7 * kBlock), kBlock);
  EXPECT_EQ(bytes_at(7 * kBlock, 2), "DD");
  EXPECT_EQ(pread(direct.fd(), page.data(), page.size(), 5 * kBlock), kBlock);
  EXPECT_EQ(page[0], 'M');
  iovec part{page.data(), 10};
  EXPECT_EQ(pwritev(fd(), &part, 1, 3), 10);
  EXPECT_EQ(ERRNO_OF(fdatasync(fd())), 0);
  EXPECT_EQ(bytes_at(3, 2), "Mx");
}

TEST_P(UnlinkedTest, FlagsAndLocks) {
  // ioctl_iflags(2)
  unsigned flags = 0;
  ASSERT_EQ(ERRNO_OF(ioctl(fd(), FS_IOC_GETFLAGS, &flags)), 0);
  flags |= FS_NODUMP_FL;
  ASSERT_EQ(ERRNO_OF(ioctl(fd(), FS_IOC_SETFLAGS, &flags)), 0);
  ASSERT_EQ(ERRNO_OF(ioctl(fd(), FS_IOC_GETFLAGS, &flags)), 0);
  EXPECT_NE(flags & FS_NODUMP_FL, 0U);
  // flock(2); fcntl(2), open file description locks
  const OpenFile second("/proc/self/fd/" + std::to_string(fd()), O_RDWR);
  ASSERT_EQ(flock(fd(), LOCK_EX), 0);
  EXPECT_EQ(ERRNO_OF(flock(second.fd(), LOCK_SH | LOCK_NB)), EWOULDBLOCK);
  ASSERT_EQ(flock(fd(), LOCK_UN), 0);
  EXPECT_EQ(ERRNO_OF(flock(second.fd(), LOCK_SH | LOCK_NB)), 0);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  ASSERT_EQ(ERRNO_OF(fcntl(fd(), F_OFD_SETLK, &lock)), 0);
  EXPECT_EQ(ERRNO_OF(fcntl(second.fd(), F_OFD_SETLK, &lock)), EAGAIN);
}

class RemovedDirectoryTest : public PosixTest {};
INSTANTIATE_TEST_SUITE_P(Posix, RemovedDirectoryTest, every_filesystem(), kind_name);

TEST_P(RemovedDirectoryTest, IsADirectoryStill) {
  make_directory("gone");
  const int directory = open(path("gone").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(directory, 0);
  ASSERT_EQ(rmdir(path("gone").c_str()), 0);
  EXPECT_EQ(ERRNO_OF(fchmod(directory, 0700)), 0);
  EXPECT_EQ(ERRNO_OF(fchown(directory, 3, 4)), 0);
  EXPECT_EQ(ERRNO_OF(futimens(directory, nullptr)), 0);
  EXPECT_EQ(ERRNO_OF(fsetxattr(directory, "user.x", "1", 1, 0)), 0);
  EXPECT_EQ(fgetxattr(directory, "user.x", nullptr, 0), 1);
  EXPECT_EQ(ERRNO_OF(fsync(directory)), 0);
  struct stat status {};
  ASSERT_EQ(fstat(directory, &status), 0);
  EXPECT_EQ(status.st_uid, 3U);
  EXPECT_EQ(status.st_mode, S_IFDIR | 0700U);
  // XSH rmdir: neither "." nor ".." nor anything else is in it.
  EXPECT_EQ(ERRNO_OF(openat(directory, "name", O_RDONLY | O_CLOEXEC)), ENOENT);
  EXPECT_EQ(ERRNO_OF(unlinkat(directory, "name", 0)), ENOENT);
  DIR* const stream = fdopendir(directory);
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(readdir(stream), nullptr);
  closedir(stream);
}

}  // namespace
}  // namespace ashlar::posix_test
