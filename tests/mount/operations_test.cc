// What every program expects of a filesystem, through the kernel, and again after a remount.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void write_all(const fs::path& path, const std::string& text) {
  std::ofstream stream(path, std::ios::trunc);
  ASSERT_TRUE(stream) << "opening " << path << ": " << std::strerror(errno);
  stream << text;
  ASSERT_TRUE(stream.flush()) << "writing " << path << ": " << std::strerror(errno);
}

struct stat attributes_of(const fs::path& path) {
  struct stat attributes {};
  EXPECT_EQ(lstat(path.c_str(), &attributes), 0) << path << ": " << std::strerror(errno);
  return attributes;
}

class OperationsTest : public EverySetupTest {
 protected:
  [[nodiscard]] std::uint64_t volume_bytes() const override { return kSmallVolumeBytes; }
  [[nodiscard]] fs::path path(const std::string& name) { return volume().root() / name; }
  void remount_same() { remount(GetParam().engine); }
};

TEST_P(OperationsTest, TheRootIsAnEmptyDirectoryOfTheSizeAskedFor) {
  EXPECT_TRUE(fs::is_empty(volume().root()));
  struct statvfs space {};
  ASSERT_EQ(statvfs(volume().root().c_str(), &space), 0);
  EXPECT_LE(space.f_blocks * space.f_frsize, volume_bytes());
  EXPECT_GT(space.f_bfree * space.f_frsize, volume_bytes() / 2);
  EXPECT_EQ(space.f_namemax, 255U);
}

TEST_P(OperationsTest, HardLinksShareOneInode) {
  ASSERT_NO_FATAL_FAILURE(write_all(path("a"), "shared"));
  ASSERT_EQ(link(path("a").c_str(), path("b").c_str()), 0);
  EXPECT_EQ(attributes_of(path("a")).st_ino, attributes_of(path("b")).st_ino);
  EXPECT_EQ(attributes_of(path("b")).st_nlink, 2U);
  ASSERT_EQ(unlink(path("a").c_str()), 0);
  ASSERT_NO_FATAL_FAILURE(remount_same());
  EXPECT_EQ(attributes_of(path("b")).st_nlink, 1U);
  EXPECT_EQ(read_all(path("b")), "shared");
}

TEST_P(OperationsTest, SymlinksKeepTheirTarget) {
  const std::string target(3000, 'x');
  ASSERT_EQ(symlink("nowhere/at/all", path("short").c_str()), 0);
  ASSERT_EQ(symlink(target.c_str(), path("long").c_str()), 0);
  ASSERT_NO_FATAL_FAILURE(remount_same());
  EXPECT_EQ(fs::read_symlink(path("short")), "nowhere/at/all");
  EXPECT_EQ(fs::read_symlink(path("long")), target);
}

TEST_P(OperationsTest, RenameReplacesAndMovesDirectories) {
  ASSERT_TRUE(fs::create_directories(path("one/inner")));
  ASSERT_TRUE(fs::create_directory(path("two")));
  ASSERT_NO_FATAL_FAILURE(write_all(path("one/inner/file"), "moved"));
  ASSERT_NO_FATAL_FAILURE(write_all(path("old"), "new contents"));
  ASSERT_NO_FATAL_FAILURE(write_all(path("target"), "to be replaced"));
  ASSERT_EQ(rename(path("old").c_str(), path("target").c_str()), 0);
  ASSERT_EQ(rename(path("one/inner").c_str(), path("two/inner").c_str()), 0);
  EXPECT_EQ(rename(path("two").c_str(), path("two/inner/below").c_str()), -1);
  EXPECT_EQ(errno, EINVAL);
  ASSERT_NO_FATAL_FAILURE(remount_same());
  EXPECT_FALSE(fs::exists(path("old")));
  EXPECT_EQ(read_all(path("target")), "new contents");
  EXPECT_EQ(read_all(path("two/inner/file")), "moved");
  EXPECT_EQ(attributes_of(path("one")).st_nlink, 2U);
  EXPECT_EQ(attributes_of(path("two")).st_nlink, 3U);
}

TEST_P(OperationsTest, AnUnlinkedFileLivesWhileItIsOpen) {
  const std::uint64_t free_before = volume().free_blocks();
  const int fd = open(path("gone").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  const std::string text(1U << 20, 'u');
  ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ASSERT_EQ(unlink(path("gone").c_str()), 0);
  EXPECT_FALSE(fs::exists(path("gone")));
  ASSERT_EQ(fsync(fd), 0);
  std::string found(text.size(), ' ');
  EXPECT_EQ(pread(fd, found.data(), found.size(), 0), static_cast<ssize_t>(found.size()));
  EXPECT_TRUE(found == text);
  ASSERT_EQ(close(fd), 0);
  EXPECT_EQ(volume().settled_free_blocks(free_before), free_before);
}

TEST_P(OperationsTest, TruncatingAndGrowingLeavesZerosBetween) {
  ASSERT_NO_FATAL_FAILURE(write_all(path("file"), std::string(100'000, 't')));
  ASSERT_EQ(truncate(path("file").c_str(), 5'000), 0);
  ASSERT_EQ(truncate(path("file").c_str(), 50'000), 0);
  const std::string expected = std::string(5'000, 't') + std::string(45'000, '\0');
  EXPECT_TRUE(read_all(path("file")) == expected);
  ASSERT_NO_FATAL_FAILURE(remount_same());
  EXPECT_TRUE(read_all(path("file")) == expected);
}

TEST_P(OperationsTest, ASparseFileTakesNoRoom) {
  const int fd = open(path("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  constexpr off_t kFar = 1LL << 40;
  ASSERT_EQ(pwrite(fd, "end", 3, kFar), 3);
  ASSERT_EQ(close(fd), 0);
  ASSERT_NO_FATAL_FAILURE(remount_same());
  const struct stat attributes = attributes_of(path("sparse"));
  EXPECT_EQ(attributes.st_size, kFar + 3);
  EXPECT_LT(attributes.st_blocks * 512, 1 << 20);
}

TEST_P(OperationsTest, AttributesSurvive) {
  ASSERT_NO_FATAL_FAILURE(write_all(path("file"), "x"));
  ASSERT_EQ(chmod(path("file").c_str(), 04751), 0);
  ASSERT_EQ(chown(path("file").c_str(), 1234, 5678), 0);
  ASSERT_EQ(chmod(path("file").c_str(), 04751), 0);  // chown clears the setuid bit
  // Before 1970 and after 2038, with nanoseconds.
  const std::array<timespec, 2> times = {timespec{-1'000'000, 123'456'789}, timespec{5'000'000'000, 987'654'321}};
  ASSERT_EQ(utimensat(AT_FDCWD, path("file").c_str(), times.data(), 0), 0);
  ASSERT_NO_FATAL_FAILURE(remount_same());
  const struct stat attributes = attributes_of(path("file"));
  EXPECT_EQ(attributes.st_mode, S_IFREG | 04751U);
  EXPECT_EQ(attributes.st_uid, 1234U);
  EXPECT_EQ(attributes.st_gid, 5678U);
  EXPECT_EQ(attributes.st_atim.tv_sec, times[0].tv_sec);
  EXPECT_EQ(attributes.st_atim.tv_nsec, times[0].tv_nsec);
  EXPECT_EQ(attributes.st_mtim.tv_sec, times[1].tv_sec);
  EXPECT_EQ(attributes.st_mtim.tv_nsec, times[1].tv_nsec);
}

TEST_P(OperationsTest, WritingThroughAMappingIsWriting) {
  constexpr std::size_t kBytes = 1U << 20;
  const int fd = open(path("mapped").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(ftruncate(fd, kBytes), 0);
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 'm', kBytes);
  ASSERT_EQ(munmap(memory, kBytes), 0);
  ASSERT_EQ(close(fd), 0);
  ASSERT_NO_FATAL_FAILURE(remount_same());
  EXPECT_TRUE(read_all(path("mapped")) == std::string(kBytes, 'm'));
}

TEST_P(OperationsTest, WrongUseGetsTheRightErrno) {
  ASSERT_TRUE(fs::create_directories(path("full/inner")));
  ASSERT_NO_FATAL_FAILURE(write_all(path("file"), "x"));
  EXPECT_EQ(rmdir(path("full").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  EXPECT_EQ(mkdir(path("full").c_str(), 0755), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(unlink(path("absent").c_str()), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(rmdir(path("file").c_str()), -1);
  EXPECT_EQ(errno, ENOTDIR);
  EXPECT_EQ(unlink(path("full").c_str()), -1);
  EXPECT_EQ(errno, EISDIR);
  EXPECT_EQ(mkdir(path(std::string(256, 'n')).c_str(), 0755), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  EXPECT_EQ(mkdir(path(std::string(255, 'n')).c_str(), 0755), 0);
}

// Sends this process a signal ten thousand times a second.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    EXPECT_EQ(sigaction(SIGALRM, &action, &before_), 0);
    const itimerval often{{0, kPeriodMicroseconds}, {0, kPeriodMicroseconds}};
    EXPECT_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
  }
  ~SignalStorm() {
    const itimerval never{};
    EXPECT_EQ(setitimer(ITIMER_REAL, &never, nullptr), 0);
    EXPECT_EQ(sigaction(SIGALRM, &before_, nullptr), 0);
  }
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;

 private:
  static constexpr suseconds_t kPeriodMicroseconds = 100;
  struct sigaction before_ {};
};

// The kernel tells a daemon of signals that come while a request is under way, late as often as not.
TEST_P(OperationsTest, SignalsDisturbNoOperation) {
  constexpr int kRounds = 1000;
  const SignalStorm storm;
  for (int i = 0; i < kRounds; ++i) {
    const std::string name = path("d" + std::to_string(i % 2));
    ASSERT_EQ(mkdir(name.c_str(), 0700), 0) << std::strerror(errno) << " in round " << i;
    ASSERT_EQ(access((name + "/absent").c_str(), F_OK), -1);
    ASSERT_EQ(errno, ENOENT) << "in round " << i;
    ASSERT_EQ(rmdir(name.c_str()), 0) << std::strerror(errno) << " in round " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Mount, OperationsTest, every_setup(), setup_name);

}  // namespace
}  // namespace ashlar::mount_test
