// read(2), write(2), truncate(2), lseek(2), fallocate(2), copy_file_range(2), mmap(2), locks.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <limits>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

ASHLAR_POSIX_SUITE(ContentsTest);

constexpr off_t kBlock = 4096;

TEST_P(ContentsTest, HolesAndTheEnd) {
  const OpenFile file(path("file"), O_RDWR | O_CREAT);
  std::string bytes(16, '?');
  // XSH read: 0 at and past the end; a gap reads as zeros.
  EXPECT_EQ(read(file.fd(), bytes.data(), 16), 0);
  ASSERT_EQ(pwrite(file.fd(), "end", 3, 10'000), 3);
  EXPECT_EQ(pread(file.fd(), bytes.data(), 16, 9'990), 13);
  EXPECT_EQ(bytes.substr(0, 13), std::string(10, '\0') + "end");
  EXPECT_EQ(pread(file.fd(), bytes.data(), 16, 10'003), 0);
  EXPECT_EQ(pread(file.fd(), bytes.data(), 16, 1LL << 40), 0);
  EXPECT_EQ(ERRNO_OF(pread(file.fd(), bytes.data(), 16, -1)), EINVAL);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), -1, SEEK_SET)), EINVAL);
  // What was cut off does not come back.
  ASSERT_EQ(ftruncate(file.fd(), 10'001), 0);
  ASSERT_EQ(ftruncate(file.fd(), 10'010), 0);
  EXPECT_EQ(pread(file.fd(), bytes.data(), 16, 9'999), 11);
  EXPECT_EQ(bytes.substr(0, 11), std::string("\0e", 2) + std::string(9, '\0'));
  const OpenFile directory(path(""), O_RDONLY);
  EXPECT_EQ(ERRNO_OF(read(directory.fd(), bytes.data(), 16)), EISDIR);
  const OpenFile reader(path("file"), O_RDONLY);
  EXPECT_EQ(ERRNO_OF(write(reader.fd(), "x", 1)), EBADF);
  const OpenFile writer(path("file"), O_WRONLY);
  EXPECT_EQ(ERRNO_OF(read(writer.fd(), bytes.data(), 1)), EBADF);
}

TEST_P(ContentsTest, Truncating) {
  make_file("file", "text");
  make_directory("d");
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0644), 0);
  // XSH truncate and ftruncate, ERRORS
  EXPECT_EQ(ERRNO_OF(truncate(path("absent").c_str(), 0)), ENOENT);
  EXPECT_EQ(ERRNO_OF(truncate(path("d").c_str(), 0)), EISDIR);
  EXPECT_EQ(ERRNO_OF(truncate(path("fifo").c_str(), 0)), EINVAL);
  EXPECT_EQ(ERRNO_OF(truncate(path("file").c_str(), -1)), EINVAL);
  const OpenFile reader(path("file"), O_RDONLY);
  EXPECT_EQ(ERRNO_OF(ftruncate(reader.fd(), 0)), EINVAL);
  EXPECT_EQ(contents_of("file"), "text");
}

TEST_P(ContentsTest, LargeSizesAndOffsets) {
  const OpenFile file(path("file"), O_RDWR | O_CREAT);
  constexpr off_t kMost = std::numeric_limits<off_t>::max();
  // XSH ftruncate, write: [EFBIG] beyond the largest size.
  const int expected = deviates(Deviation::larger_files) ? 0 : EFBIG;
  EXPECT_EQ(ERRNO_OF(ftruncate(file.fd(), kMost)), expected);
  EXPECT_EQ(ERRNO_OF(ftruncate(file.fd(), (1LL << 62) + 5)), expected);
  if (deviates(Deviation::larger_files)) {
    constexpr off_t kFar = (1LL << 62) - 3;
    ASSERT_EQ(pwrite(file.fd(), "far", 3, kFar), 3);
    ASSERT_EQ(fsync(file.fd()), 0);
    std::string bytes(8, '?');
    EXPECT_EQ(pread(file.fd(), bytes.data(), 8, kFar), 8);
    EXPECT_EQ(bytes, std::string("far") + std::string(5, '\0'));
    EXPECT_EQ(stat_of("file").st_size, (1LL << 62) + 5);
    EXPECT_EQ(lseek(file.fd(), 0, SEEK_DATA), kFar / kBlock * kBlock);
    EXPECT_LT(stat_of("file").st_blocks, 64);
  }
  // setrlimit(2): RLIMIT_FSIZE gives SIGXFSZ and EFBIG.
  const std::string full = path("limited");
  EXPECT_EQ(errno_as(kAlice,
                     [&] {
                       std::signal(SIGXFSZ, SIG_IGN);
                       const rlimit limit{1000, 1000};
                       if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 0;
                       const int fd = open(full.c_str(), O_WRONLY | O_CREAT, 0644);
                       const std::string data(2000, 'x');
                       if (write(fd, data.data(), data.size()) != 1000) return 0;
                       return static_cast<int>(write(fd, "x", 1));
                     }),
            EFBIG);
}

TEST_P(ContentsTest, SeekingDataAndHoles) {
  const OpenFile file(path("file"), O_RDWR | O_CREAT);
  const std::string data(kBlock, 'd');
  // lseek(2)
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 0, SEEK_DATA)), ENXIO);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 0, SEEK_HOLE)), ENXIO);
  ASSERT_EQ(pwrite(file.fd(), data.data(), data.size(), 16 * kBlock), kBlock);
  ASSERT_EQ(ftruncate(file.fd(), 40 * kBlock), 0);
  EXPECT_EQ(lseek(file.fd(), 0, SEEK_HOLE), 0);
  EXPECT_EQ(lseek(file.fd(), 0, SEEK_DATA), 16 * kBlock);
  EXPECT_EQ(lseek(file.fd(), 16 * kBlock + 5, SEEK_DATA), 16 * kBlock + 5);
  EXPECT_EQ(lseek(file.fd(), 16 * kBlock + 5, SEEK_HOLE), 17 * kBlock);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 17 * kBlock, SEEK_DATA)), ENXIO);
  EXPECT_EQ(lseek(file.fd(), 17 * kBlock, SEEK_HOLE), 17 * kBlock);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 40 * kBlock, SEEK_HOLE)), ENXIO);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), -1, SEEK_DATA)), ENXIO);
  // What was written and is nowhere but in memory is data.
  const OpenFile fresh(path("fresh"), O_RDWR | O_CREAT);
  ASSERT_EQ(pwrite(fresh.fd(), data.data(), data.size(), 4 * kBlock), kBlock);
  EXPECT_EQ(lseek(fresh.fd(), 0, SEEK_DATA), 4 * kBlock);
  EXPECT_EQ(lseek(fresh.fd(), 4 * kBlock, SEEK_HOLE), 5 * kBlock);
  // A file without holes has one at its end.
  make_file("full", std::string(5000, 'f'));
  const OpenFile full(path("full"), O_RDONLY);
  EXPECT_EQ(lseek(full.fd(), 10, SEEK_HOLE), 5000);
  make_file("small", "tiny");
  const OpenFile small(path("small"), O_RDONLY);
  EXPECT_EQ(lseek(small.fd(), 2, SEEK_DATA), 2);
  EXPECT_EQ(lseek(small.fd(), 0, SEEK_HOLE), 4);
}

TEST_P(ContentsTest, SeekingInWhatWasNeverWritten) {
  const OpenFile file(path("file"), O_RDWR | O_CREAT);
  const std::string data(kBlock, 'd');
  // lseek(2): a hole is what reads as zeros and needs no blocks, "but a filesystem may" count others; preallocated
  // space counts as one.
  ASSERT_EQ(fallocate(file.fd(), 0, 0, 20 * kBlock), 0);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 0, SEEK_DATA)), ENXIO);
  EXPECT_EQ(lseek(file.fd(), 3, SEEK_HOLE), 3);
  ASSERT_EQ(pwrite(file.fd(), data.data(), data.size(), 8 * kBlock), kBlock);
  ASSERT_EQ(fsync(file.fd()), 0);
  EXPECT_EQ(lseek(file.fd(), 0, SEEK_DATA), 8 * kBlock);
  EXPECT_EQ(lseek(file.fd(), 8 * kBlock, SEEK_HOLE), 9 * kBlock);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 9 * kBlock, SEEK_DATA)), ENXIO);
  ASSERT_EQ(fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * kBlock, kBlock), 0);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 0, SEEK_DATA)), ENXIO);
  // Past the end, preallocated or not, there is nothing to find.
  ASSERT_EQ(fallocate(file.fd(), FALLOC_FL_KEEP_SIZE, 20 * kBlock, 20 * kBlock), 0);
  EXPECT_EQ(ERRNO_OF(lseek(file.fd(), 20 * kBlock, SEEK_HOLE)), ENXIO);
}

TEST_P(ContentsTest, FlagsOfOneTransfer) {
  make_file("file", "0123456789");
  const OpenFile file(path("file"), O_RDWR);
  std::array<char, 4> bytes{};
  const iovec part{bytes.data(), bytes.size()};
  // preadv2(2): offset -1 is the descriptor's own.
  ASSERT_EQ(lseek(file.fd(), 2, SEEK_SET), 2);
  EXPECT_EQ(preadv2(file.fd(), &part, 1, -1, 0), 4);
  EXPECT_EQ(std::string(bytes.data(), 4), "2345");
  EXPECT_EQ(lseek(file.fd(), 0, SEEK_CUR), 6);
  EXPECT_EQ(preadv2(file.fd(), &part, 1, 0, RWF_HIPRI), 4);
  EXPECT_EQ(std::string(bytes.data(), 4), "0123");
  // pwritev2(2): RWF_DSYNC, RWF_SYNC; RWF_APPEND appends and ignores the offset.
  bytes = {'a', 'b', 'c', 'd'};
  EXPECT_EQ(pwritev2(file.fd(), &part, 1, 0, RWF_DSYNC), 4);
  EXPECT_EQ(pwritev2(file.fd(), &part, 1, 4, RWF_SYNC), 4);
  EXPECT_EQ(pwritev2(file.fd(), &part, 1, 0, RWF_APPEND), 4);
  EXPECT_EQ(contents_of("file"), "abcdabcd89abcd");
  EXPECT_EQ(lseek(file.fd(), 0, SEEK_CUR), 6);
  // EOPNOTSUPP: an unknown flag
  EXPECT_EQ(ERRNO_OF(preadv2(file.fd(), &part, 1, 0, 1 << 30)), EOPNOTSUPP);
  EXPECT_EQ(ERRNO_OF(pwritev2(file.fd(), &part, 1, 0, 1 << 30)), EOPNOTSUPP);
}

TEST_P(ContentsTest, DirectAppendsTogetherLoseNothing) {
  // XSH write, O_APPEND: no other modification between setting the offset and writing, with O_DIRECT as well.
  constexpr int kWriters = 3;
  constexpr int kBlocks = 50;
  make_file("log");
  std::vector<pid_t> children;
  for (int writer = 0; writer < kWriters; ++writer) {
    const pid_t child = fork();
    if (child == 0) {
      alignas(4096) static std::array<char, kBlock> page{};
      page.fill(static_cast<char>('a' + writer));
      const int fd = open(path("log").c_str(), O_WRONLY | O_APPEND | O_DIRECT);
      bool sound = fd >= 0;
      for (int i = 0; i < kBlocks && sound; ++i) sound = write(fd, page.data(), page.size()) == kBlock;
      _exit(sound ? 0 : 1);
    }
    children.push_back(child);
  }
  ASSERT_NO_FATAL_FAILURE(expect_success(children));
  const std::string all = contents_of("log");
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kBlock * kWriters * kBlocks));
  std::array<int, kWriters> seen{};
  for (std::size_t at = 0; at < all.size(); at += kBlock) {
    ASSERT_TRUE(all.compare(at, kBlock, std::string(kBlock, all[at])) == 0) << at;
    ++seen.at(static_cast<std::size_t>(all[at] - 'a'));
  }
  for (const int count : seen) EXPECT_EQ(count, kBlocks);
}

TEST_P(ContentsTest, ContentsShowInBlocks) {
  // tar(1) -S does not even read a file with st_blocks 0, so no file with contents may have that, written back or not.
  make_file("small", "tiny");
  {
    const OpenFile file(path("file"), O_RDWR | O_CREAT);
    const OpenFile grown(path("grown"), O_RDWR | O_CREAT);
    ASSERT_EQ(ftruncate(grown.fd(), 1 << 20), 0);
    const std::string data(100'000, 'd');
    ASSERT_EQ(write(file.fd(), data.data(), data.size()), static_cast<ssize_t>(data.size()));
    ASSERT_EQ(write(grown.fd(), data.data(), data.size()), static_cast<ssize_t>(data.size()));
    for (const char* name : {"small", "file", "grown"}) EXPECT_GT(stat_of(name).st_blocks, 0) << name;
    ASSERT_EQ(fsync(file.fd()), 0);
    for (const char* name : {"small", "file", "grown"}) EXPECT_GT(stat_of(name).st_blocks, 0) << name;
  }
  filesystem().remount("");
  EXPECT_GT(stat_of("small").st_blocks, 0);
}

TEST_P(ContentsTest, Preallocating) {
  const OpenFile file(path("file"), O_RDWR | O_CREAT);
  // fallocate(2), ERRORS
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), 0, 0, 0)), EINVAL);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), 0, -1, 10)), EINVAL);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), 0, std::numeric_limits<off_t>::max(), 10)), EFBIG);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE, 0, 10)), EOPNOTSUPP);
  const OpenFile huge(path("huge"), O_RDWR | O_CREAT);
  EXPECT_EQ(ERRNO_OF(fallocate(huge.fd(), 0, 0, 1LL << 40)), ENOSPC);
  ASSERT_EQ(ftruncate(huge.fd(), 0), 0);  // ext4 took what there was
  const OpenFile reader(path("file"), O_RDONLY);
  EXPECT_EQ(ERRNO_OF(fallocate(reader.fd(), 0, 0, 10)), EBADF);
  EXPECT_EQ(stat_of("file").st_size, 0);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_KEEP_SIZE, 0, 8 * kBlock)), 0);
  EXPECT_EQ(stat_of("file").st_size, 0);
  EXPECT_EQ(stat_of("file").st_blocks, 8 * kBlock / 512);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), 0, kBlock, 8 * kBlock)), 0);
  EXPECT_EQ(stat_of("file").st_size, 9 * kBlock);
  EXPECT_TRUE(contents_of("file") == std::string(9 * kBlock, '\0'));
  // Punching gives blocks back and keeps the size; edges are zeroed.
  const std::string data(6 * kBlock, 'd');
  ASSERT_EQ(pwrite(file.fd(), data.data(), data.size(), 0), 6 * kBlock);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 3 * kBlock)), 0);
  std::string expected = data + std::string(3 * kBlock, '\0');
  std::fill_n(expected.begin() + 100, 3 * kBlock, '\0');
  EXPECT_TRUE(contents_of("file") == expected);
  ASSERT_EQ(fsync(file.fd()), 0);
  EXPECT_EQ(stat_of("file").st_blocks, 7 * kBlock / 512);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_ZERO_RANGE, 4 * kBlock + 7, 20)), 0);
  std::fill_n(expected.begin() + 4 * kBlock + 7, 20, '\0');
  EXPECT_TRUE(contents_of("file") == expected);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_ZERO_RANGE, 8 * kBlock, 4 * kBlock)), 0);
  EXPECT_EQ(stat_of("file").st_size, 12 * kBlock);
}

TEST_P(ContentsTest, ZeroingMoreThanThereIsRoomFor) {
  if (GetParam() == Kind::ext4) return;  // the same answer, after ten seconds, and it has zeroed what it could
  // More pieces than are zeroed in one go.
  constexpr off_t kPieces = 1000;
  const OpenFile file(path("file"), O_RDWR | O_CREAT);
  const std::string piece(kBlock, 'p');
  std::string expected;
  for (off_t i = 0; i < kPieces; ++i) {
    ASSERT_EQ(pwrite(file.fd(), piece.data(), piece.size(), 2 * i * kBlock), kBlock);
    if (i != 0) expected.append(kBlock, '\0');
    expected.append(piece);
  }
  ASSERT_EQ(fsync(file.fd()), 0);
  struct statvfs before {};
  ASSERT_EQ(statvfs(path("").c_str(), &before), 0);
  // fallocate(2), ENOSPC
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), FALLOC_FL_ZERO_RANGE, 10 * kBlock, 1LL << 40)), ENOSPC);
  // What is on the volume, whatever the page cache has.
  ASSERT_EQ(posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED), 0);
  EXPECT_TRUE(contents_of("file") == expected);
  struct statvfs after {};
  ASSERT_EQ(statvfs(path("").c_str(), &after), 0);
  constexpr fsblkcnt_t kLittle = 1000;  // of the volume's 130,000 blocks: other things go on
  EXPECT_GT(after.f_bfree + kLittle, before.f_bfree);
}

TEST_P(ContentsTest, CopyingRanges) {
  const std::string data = std::string(3 * kBlock, 'a') + std::string(100, 'b');
  make_file("source", data);
  const OpenFile source(path("source"), O_RDONLY);
  const OpenFile target(path("target"), O_RDWR | O_CREAT);
  off64_t from = 10;
  off64_t to = 5;
  // copy_file_range(2): short at the end of the source, 0 past it.
  EXPECT_EQ(copy_file_range(source.fd(), &from, target.fd(), &to, 1U << 20, 0), static_cast<ssize_t>(data.size()) - 10);
  EXPECT_EQ(contents_of("target"), std::string(5, '\0') + data.substr(10));
  EXPECT_EQ(copy_file_range(source.fd(), &from, target.fd(), &to, 1U << 20, 0), 0);
  EXPECT_EQ(ERRNO_OF(copy_file_range(source.fd(), nullptr, target.fd(), nullptr, 1, 1)), EINVAL);
  EXPECT_EQ(ERRNO_OF(copy_file_range(target.fd(), nullptr, source.fd(), nullptr, 1, 0)), EBADF);
  off64_t same_from = 0;
  off64_t same_to = 10;
  const OpenFile again(path("target"), O_RDWR);
  EXPECT_EQ(ERRNO_OF(copy_file_range(target.fd(), &same_from, again.fd(), &same_to, 100, 0)), EINVAL);
}

TEST_P(ContentsTest, CopyingRangesWithHoles) {
  constexpr off_t kMebibyte = 1 << 20;
  {
    const OpenFile source(path("source"), O_RDWR | O_CREAT);
    ASSERT_EQ(pwrite(source.fd(), "first", 5, 0), 5);
    ASSERT_EQ(pwrite(source.fd(), "last", 4, 3 * kMebibyte), 4);
    ASSERT_EQ(ERRNO_OF(ftruncate(source.fd(), 5 * kMebibyte)), 0);
  }
  const std::string expected = contents_of("source");
  make_file("old", std::string(static_cast<std::size_t>(5 * kMebibyte), 'o'), 06755);
  for (const char* name : {"old", "new"}) {
    const OpenFile source(path("source"), O_RDONLY);
    const OpenFile target(path(name), O_RDWR | O_CREAT);
    off64_t from = 0;
    off64_t to = 0;
    while (copy_file_range(source.fd(), &from, target.fd(), &to, 1U << 30, 0) > 0) {
    }
    EXPECT_EQ(to, 5 * kMebibyte);
    EXPECT_TRUE(contents_of(name) == expected) << name;
  }
  {
    // Into the middle of what is there, from what the page cache alone has, shifted by odd numbers.
    const OpenFile mixed(path("mixed"), O_RDWR | O_CREAT);
    ASSERT_EQ(pwrite(mixed.fd(), expected.data(), 100'000, 0), 100'000);
    off64_t from = 11;
    off64_t to = 200'001;
    ASSERT_EQ(copy_file_range(mixed.fd(), &from, mixed.fd(), &to, 50'000, 0), 50'000);
    std::string result = expected.substr(0, 100'000) + std::string(100'001, '\0') + expected.substr(11, 50'000);
    EXPECT_TRUE(contents_of("mixed") == result);
  }
  // chown(2), "When an unprivileged user ...": so with what changes the contents.
  const std::string into = path("suid");
  make_file("suid", "x", 04777);
  EXPECT_EQ(errno_as(kAlice,
                     [&] {
                       off64_t at = 0;
                       const int in = open(path("source").c_str(), O_RDONLY | O_CLOEXEC);
                       const int out = open(into.c_str(), O_WRONLY | O_CLOEXEC);
                       return static_cast<int>(copy_file_range(in, &at, out, nullptr, 5, 0));
                     }),
            0);
  EXPECT_EQ(mode_of("suid"), 0777U);
  EXPECT_EQ(times_changed("mixed",
                          [&] {
                            const OpenFile source(path("source"), O_RDONLY);
                            const OpenFile mixed(path("mixed"), O_RDWR);
                            off64_t back = 0;
                            EXPECT_EQ(copy_file_range(source.fd(), &back, mixed.fd(), nullptr, 5, 0), 5);
                          }),
            "mc");
  filesystem().remount("");
  EXPECT_TRUE(contents_of("old") == expected);
  EXPECT_TRUE(contents_of("new") == expected);
  EXPECT_EQ(contents_of("suid"), "first");
}

TEST_P(ContentsTest, Mappings) {
  make_file("file", std::string(3 * kBlock + 100, 'f'));
  const OpenFile file(path("file"), O_RDWR);
  auto* const shared = static_cast<char*>(mmap(nullptr, 4 * kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0));
  auto* const alone = static_cast<char*>(mmap(nullptr, 4 * kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.fd(), 0));
  ASSERT_NE(shared, MAP_FAILED);
  ASSERT_NE(alone, MAP_FAILED);
  // XSH mmap: shared changes are the file's, private ones are not; the rest of the last page is zero and not written.
  shared[5] = 'S';
  alone[6] = 'P';
  EXPECT_EQ(shared[3 * kBlock + 100], '\0');
  shared[3 * kBlock + 200] = '!';
  ASSERT_EQ(msync(shared, 4 * kBlock, MS_SYNC), 0);
  char byte = '?';
  EXPECT_EQ(pread(file.fd(), &byte, 1, 5), 1);
  EXPECT_EQ(byte, 'S');
  EXPECT_EQ(pread(file.fd(), &byte, 1, 6), 1);
  EXPECT_EQ(byte, 'f');
  ASSERT_EQ(pwrite(file.fd(), "W", 1, 7), 1);
  EXPECT_EQ(shared[7], 'W');
  ASSERT_EQ(munmap(alone, 4 * kBlock), 0);
  ASSERT_EQ(munmap(shared, 4 * kBlock), 0);
  ASSERT_EQ(ftruncate(file.fd(), 4 * kBlock), 0);
  EXPECT_EQ(pread(file.fd(), &byte, 1, 3 * kBlock + 200), 1);
  EXPECT_EQ(byte, '\0');
}

TEST_P(ContentsTest, DirectTransfers) {
  const OpenFile direct(path("file"), O_RDWR | O_CREAT | O_DIRECT);
  void* memory = nullptr;
  ASSERT_EQ(posix_memalign(&memory, kBlock, 2 * kBlock), 0);
  auto* const bytes = static_cast<char*>(memory);
  std::fill_n(bytes, 2 * kBlock, 'd');
  EXPECT_EQ(pwrite(direct.fd(), bytes, 2 * kBlock, 0), 2 * kBlock);
  EXPECT_TRUE(contents_of("file") == std::string(2 * kBlock, 'd'));
  // open(2), O_DIRECT: coherent with buffered access through another descriptor.
  const OpenFile buffered(path("file"), O_RDWR);
  ASSERT_EQ(pwrite(buffered.fd(), "B", 1, 5), 1);
  EXPECT_EQ(pread(direct.fd(), bytes, 2 * kBlock, 0), 2 * kBlock);
  EXPECT_EQ(bytes[5], 'B');
  EXPECT_EQ(pread(direct.fd(), bytes, kBlock, 2 * kBlock), 0);
  std::fill_n(bytes, kBlock, 'e');
  EXPECT_EQ(pwrite(direct.fd(), bytes, kBlock, kBlock), kBlock);
  char byte = '?';
  EXPECT_EQ(pread(buffered.fd(), &byte, 1, kBlock + 1), 1);
  EXPECT_EQ(byte, 'e');
  free(memory);
}

TEST_P(ContentsTest, Locks) {
  make_file("file", "text");
  const std::string full = path("file");
  const OpenFile mine(full, O_RDWR);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 10;
  const auto others_lock = [&](int command, off_t start) {
    return errno_as(Caller{}, [&] {
      const int fd = open(full.c_str(), O_RDWR);
      struct flock wanted = lock;
      wanted.l_start = start;
      return fcntl(fd, command, &wanted);
    });
  };
  // XSH fcntl: F_SETLK; fcntl(2): open file description locks; flock(2).
  ASSERT_EQ(fcntl(mine.fd(), F_SETLK, &lock), 0);
  EXPECT_EQ(others_lock(F_SETLK, 5), EAGAIN);
  EXPECT_EQ(others_lock(F_SETLK, 10), 0);
  EXPECT_EQ(others_lock(F_OFD_SETLK, 5), EAGAIN);
  lock.l_type = F_UNLCK;
  ASSERT_EQ(fcntl(mine.fd(), F_SETLK, &lock), 0);
  lock.l_type = F_WRLCK;
  const OpenFile second(full, O_RDWR);
  ASSERT_EQ(fcntl(mine.fd(), F_OFD_SETLK, &lock), 0);
  EXPECT_EQ(ERRNO_OF(fcntl(second.fd(), F_OFD_SETLK, &lock)), EAGAIN);
  ASSERT_EQ(flock(mine.fd(), LOCK_SH), 0);
  EXPECT_EQ(ERRNO_OF(flock(second.fd(), LOCK_SH | LOCK_NB)), 0);
  EXPECT_EQ(ERRNO_OF(flock(mine.fd(), LOCK_EX | LOCK_NB)), EWOULDBLOCK);
}

}  // namespace
}  // namespace ashlar::posix_test
