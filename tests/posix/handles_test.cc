// name_to_handle_at(2), open_by_handle_at(2): handles of files that the kernel has forgotten meanwhile.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class Handle {
 public:
  explicit Handle(const std::string& path) {
    get()->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    EXPECT_EQ(ERRNO_OF(name_to_handle_at(AT_FDCWD, path.c_str(), get(), &mount, 0)), 0) << path;
  }
  [[nodiscard]] file_handle* get() { return reinterpret_cast<file_handle*>(memory_.data()); }

 private:
  alignas(file_handle) std::array<std::byte, sizeof(file_handle) + MAX_HANDLE_SZ> memory_{};
};

class HandlesTest : public PosixTest {
 protected:
  // The inode number that a handle leads to, or the errno, negative.
  [[nodiscard]] std::int64_t inode_by(Handle& handle, int flags) const {
    const OpenFile root(path(""), O_RDONLY | O_DIRECTORY);
    const int fd = open_by_handle_at(root.fd(), handle.get(), flags | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct stat status {};
    EXPECT_EQ(fstat(fd, &status), 0);
    close(fd);
    return static_cast<std::int64_t>(status.st_ino);
  }
  [[nodiscard]] std::int64_t inode_of(const std::string& name) const {
    return static_cast<std::int64_t>(stat_of(name).st_ino);
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, HandlesTest, every_filesystem(), kind_name);

TEST_P(HandlesTest, LeadToEveryKindOfFile) {
  make_directory("d");
  make_directory("d/below");
  make_file("d/below/file", "text");
  ASSERT_EQ(symlink("nowhere", path("d/symlink").c_str()), 0);
  ASSERT_EQ(mkfifo(path("d/fifo").c_str(), 0644), 0);
  Handle file(path("d/below/file"));
  Handle directory(path("d/below"));
  Handle symlink(path("d/symlink"));
  Handle fifo(path("d/fifo"));
  // open_by_handle_at(2): persistent, the filesystem may have been mounted anew.
  // Before any name is looked up: by that the kernel would know the file again.
  filesystem().remount("");
  const std::int64_t by_file = inode_by(file, O_RDWR);
  const std::int64_t by_symlink = inode_by(symlink, O_PATH | O_NOFOLLOW);
  const std::int64_t by_fifo = inode_by(fifo, O_RDONLY | O_NONBLOCK);
  const std::int64_t by_directory = inode_by(directory, O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(by_file, inode_of("d/below/file"));
  EXPECT_EQ(by_symlink, inode_of("d/symlink"));
  EXPECT_EQ(by_fifo, inode_of("d/fifo"));
  EXPECT_EQ(by_directory, inode_of("d/below"));
  // ELOOP: a symbolic link without O_PATH.
  EXPECT_EQ(inode_by(symlink, O_RDONLY), -ELOOP);
  EXPECT_EQ(contents_of("d/below/file"), "text");
}

TEST_P(HandlesTest, FollowRenamesAndEndWithTheFile) {
  make_directory("d");
  make_file("file", "text");
  make_file("gone");
  make_directory("gone directory");
  Handle file(path("file"));
  Handle gone(path("gone"));
  Handle gone_directory(path("gone directory"));
  ASSERT_EQ(rename(path("file").c_str(), path("d/moved").c_str()), 0);
  ASSERT_EQ(unlink(path("gone").c_str()), 0);
  ASSERT_EQ(rmdir(path("gone directory").c_str()), 0);
  EXPECT_EQ(inode_by(file, O_RDONLY), inode_of("d/moved"));
  // open_by_handle_at(2): ESTALE when the file is gone, EPERM without CAP_DAC_READ_SEARCH.
  EXPECT_EQ(inode_by(gone, O_RDONLY), -ESTALE);
  EXPECT_EQ(inode_by(gone_directory, O_RDONLY), -ESTALE);
  make_file("gone");
  EXPECT_EQ(inode_by(gone, O_RDONLY), -ESTALE);
  filesystem().remount("");
  const std::int64_t by_file = inode_by(file, O_RDONLY);
  EXPECT_EQ(by_file, inode_of("d/moved"));
  EXPECT_EQ(inode_by(gone, O_RDONLY), -ESTALE);
  const std::string root = path("");
  EXPECT_EQ(errno_as(kAlice,
                     [&] {
                       const int mount = open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                       return open_by_handle_at(mount, file.get(), O_RDONLY | O_CLOEXEC);
                     }),
            EPERM);
}

}  // namespace
}  // namespace ashlar::posix_test
