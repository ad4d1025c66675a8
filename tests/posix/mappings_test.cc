// mmap(2) beyond what reading and writing show: the end of the file, times, and files that change below a mapping.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

constexpr off_t kBlock = 4096;

class MappingsTest : public PosixTest {
 protected:
  // The signal that ends a process which does this, or 0.
  [[nodiscard]] static int signal_of(const std::function<void()>& action) {
    const pid_t child = fork();
    if (child == 0) {
      std::signal(SIGBUS, SIG_DFL);  // a sanitizer has its own
      action();
      _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  [[nodiscard]] static volatile char* map(int fd, std::size_t length) {
    void* const mapped = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_NE(mapped, MAP_FAILED);
    return static_cast<volatile char*>(mapped);
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, MappingsTest, every_filesystem(), kind_name);

TEST_P(MappingsTest, BeyondTheEnd) {
  make_file("file", std::string(kBlock + 100, 'f'));
  const OpenFile file(path("file"), O_RDWR);
  volatile char* const mapped = map(file.fd(), 4 * kBlock);
  // XSH mmap: SIGBUS in whole pages after the end, zeros in what remains of the last one.
  EXPECT_EQ(signal_of([&] { static_cast<void>(mapped[kBlock + 200]); }), 0);
  EXPECT_EQ(signal_of([&] { static_cast<void>(mapped[2 * kBlock]); }), SIGBUS);
  EXPECT_EQ(signal_of([&] { mapped[2 * kBlock] = 'x'; }), SIGBUS);
  // The end moves, and with it what may be touched.
  ASSERT_EQ(ftruncate(file.fd(), 3 * kBlock), 0);
  EXPECT_EQ(mapped[2 * kBlock], '\0');
  mapped[2 * kBlock] = 'x';
  ASSERT_EQ(ftruncate(file.fd(), kBlock), 0);
  EXPECT_EQ(signal_of([&] { static_cast<void>(mapped[kBlock]); }), SIGBUS);
  EXPECT_EQ(signal_of([&] { static_cast<void>(mapped[2 * kBlock]); }), SIGBUS);
  // What was there before the file shrank does not come back.
  ASSERT_EQ(ftruncate(file.fd(), 3 * kBlock), 0);
  EXPECT_EQ(mapped[kBlock], '\0');
  EXPECT_EQ(mapped[2 * kBlock], '\0');
}

TEST_P(MappingsTest, StoringMovesTheTimes) {
  make_file("file", std::string(2 * kBlock, 'f'));
  const OpenFile file(path("file"), O_RDWR);
  volatile char* const mapped = map(file.fd(), 2 * kBlock);
  auto* const start = const_cast<char*>(mapped);
  // XSH mmap: modification and change time are marked between the store and msync(), at the latest by it.
  const auto stores = [&](int flags) {
    return times_changed("file", [&] {
      mapped[5] = 'S';
      EXPECT_EQ(ERRNO_OF(msync(start, 2 * kBlock, flags)), 0);
    });
  };
  EXPECT_EQ(stores(MS_SYNC), "mc");
  EXPECT_EQ(stores(MS_SYNC), "mc");
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(ERRNO_OF(msync(start, 2 * kBlock, MS_SYNC)), 0); }), "");
  // XSH msync, [ENOMEM]
  ASSERT_EQ(munmap(start, 2 * kBlock), 0);
  EXPECT_EQ(ERRNO_OF(msync(start, 2 * kBlock, MS_SYNC)), ENOMEM);
  const struct stat before = stat_of("file");
  EXPECT_EQ(ERRNO_OF(fsync(file.fd())), 0);
  EXPECT_EQ(stat_of("file").st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

TEST_P(MappingsTest, AreCoherentWithEveryOtherWay) {
  make_file("file", std::string(4 * kBlock, 'f'));
  const OpenFile file(path("file"), O_RDWR);
  volatile char* const mapped = map(file.fd(), 4 * kBlock);
  // fallocate(2): punching and zeroing show in a mapping; mmap(2), MAP_SHARED: so does what others store.
  mapped[kBlock] = 'M';
  ASSERT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kBlock)), 0);
  EXPECT_EQ(mapped[0], '\0');
  EXPECT_EQ(mapped[kBlock], 'M');
  ASSERT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_ZERO_RANGE, kBlock, 1)), 0);
  EXPECT_EQ(mapped[kBlock], '\0');
  make_file("source", "copied");
  {
    const OpenFile source(path("source"), O_RDONLY);
    off64_t to = 2 * kBlock;
    ASSERT_EQ(copy_file_range(source.fd(), nullptr, file.fd(), &to, 6, 0), 6);
  }
  EXPECT_EQ(mapped[2 * kBlock], 'c');
  mapped[0] = 'A';
  ASSERT_EQ(munmap(const_cast<char*>(mapped), 4 * kBlock), 0);
  EXPECT_EQ(contents_of("file").substr(0, 2), std::string("A\0", 2));
}

}  // namespace
}  // namespace ashlar::posix_test
