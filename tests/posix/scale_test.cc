// Numbers and depths near the limits. ASHLAR_SCALE=1000000 makes the trees and directories as large as that; figures
// are printed, not judged.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/mount/daemon_memory.h"
#include "tests/mount/mounted_volume.h"
#include "tests/posix/errno_of.h"

namespace ashlar::posix_test {
namespace {

using mount_test::DeviceKind;
using mount_test::Engine;
using mount_test::MountedVolume;
using mount_test::succeeded;

constexpr std::chrono::hours kDeadline{4};  // of a program that removes a million files; ctest's is shorter

// Files in one directory and in a tree.
int file_count() {
  constexpr int kInCi = 5'000;
  const char* const wanted = std::getenv("ASHLAR_SCALE");
  return wanted == nullptr ? kInCi : std::atoi(wanted);
}

// Prints how long its scope took.
class Figure {
 public:
  Figure(std::string_view what, int count) : what_(what), count_(count) {}
  ~Figure() {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
    std::cout << "    " << what_ << ": " << count_ << " in " << took.count() << " s, "
              << static_cast<int>(count_ / took.count()) << " a second\n";
  }
  Figure(const Figure&) = delete;
  Figure& operator=(const Figure&) = delete;

 private:
  const std::string_view what_;
  const int count_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  [[nodiscard]] int get() const { return number_; }

 private:
  int number_;
};

class ScaleTest : public testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    ASSERT_TRUE(succeeded(volume_.format()));
    volume_.set_mount_options("cache=64M");
    ASSERT_TRUE(succeeded(volume_.mount(Engine::io_uring)));
  }
  void expect_little_memory() const {
    // cache=, what requests under way hold, and a counter for each inode that the kernel remembers.
    const std::uint64_t most = (64ULL << 20) + (128ULL << 20) + 64ULL * static_cast<std::uint64_t>(file_count());
    const std::uint64_t peak = mount_test::peak_daemon_memory(volume_.device().path());
    std::cout << "    the daemon took " << (peak >> 20U) << " MiB\n";
    EXPECT_GT(peak, 0U);
    EXPECT_LT(peak, most);
  }
  void remount() {
    expect_little_memory();
    {
      const Figure figure("unmount and check", 1);
      ASSERT_TRUE(succeeded(volume_.unmount()));
      ASSERT_TRUE(succeeded(volume_.check()));
    }
    ASSERT_TRUE(succeeded(volume_.mount(Engine::io_uring)));
  }
  [[nodiscard]] MountedVolume& volume() { return volume_; }
  [[nodiscard]] std::string path(const std::string& name) const { return (volume_.root() / name).string(); }

 private:
  MountedVolume volume_{DeviceKind::image, 64ULL << 30};  // sparse
};

std::size_t count_names(const std::string& directory) {
  DIR* const stream = opendir(directory.c_str());
  EXPECT_NE(stream, nullptr) << directory;
  if (stream == nullptr) return 0;
  std::size_t count = 0;
  while (readdir(stream) != nullptr) ++count;
  closedir(stream);
  return count - 2;
}

TEST_F(ScaleTest, ManyFilesInOneDirectory) {
  const int count = file_count();
  ASSERT_EQ(mkdir(path("many").c_str(), 0755), 0);
  Descriptor directory(open(path("many").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  {
    const Figure figure("created", count);
    for (int i = 0; i < count; ++i) {
      const Descriptor file(openat(directory.get(), std::to_string(i).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644));
      ASSERT_GE(file.get(), 0) << i << ": errno " << errno;
    }
  }
  directory = Descriptor(-1);
  remount();
  {
    const Figure figure("listed", count);
    EXPECT_EQ(count_names(path("many")), static_cast<std::size_t>(count));
  }
  directory = Descriptor(open(path("many").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  {
    const Figure figure("looked up", count);
    for (int i = 0; i < count; ++i) {
      struct stat status {};
      ASSERT_EQ(ERRNO_OF(fstatat(directory.get(), std::to_string(i).c_str(), &status, 0)), 0) << i;
    }
  }
  {
    const Figure figure("removed", count);
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(ERRNO_OF(unlinkat(directory.get(), std::to_string(i).c_str(), 0)), 0) << i;
    }
  }
  EXPECT_EQ(ERRNO_OF(rmdir(path("many").c_str())), 0);
  expect_little_memory();
}

TEST_F(ScaleTest, ManyFilesInATree) {
  constexpr int kPerDirectory = 100;
  const int directories = file_count() / kPerDirectory;
  const auto directory_of = [&](int i) { return path(std::to_string(i / kPerDirectory) + "/" + std::to_string(i)); };
  {
    const Figure figure("created, with contents", directories * kPerDirectory);
    for (int i = 0; i < directories; ++i) {
      static_cast<void>(mkdir(path(std::to_string(i / kPerDirectory)).c_str(), 0755));
      ASSERT_EQ(ERRNO_OF(mkdir(directory_of(i).c_str(), 0755)), 0) << i;
      for (int j = 0; j < kPerDirectory; ++j) {
        const std::string name = directory_of(i) + "/" + std::to_string(j);
        const Descriptor file(open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        ASSERT_EQ(write(file.get(), name.data(), name.size()), static_cast<ssize_t>(name.size())) << name;
      }
    }
  }
  remount();
  {
    const Figure figure("read", directories * kPerDirectory);
    for (int i = 0; i < directories; ++i) {
      ASSERT_EQ(count_names(directory_of(i)), static_cast<std::size_t>(kPerDirectory));
      for (int j = 0; j < kPerDirectory; ++j) {
        const std::string name = directory_of(i) + "/" + std::to_string(j);
        std::string contents(name.size() + 1, '\0');
        const Descriptor file(open(name.c_str(), O_RDONLY | O_CLOEXEC));
        ASSERT_EQ(read(file.get(), contents.data(), contents.size()), static_cast<ssize_t>(name.size())) << name;
        ASSERT_EQ(std::string_view(contents).substr(0, name.size()), name);
      }
    }
  }
  {
    const Figure figure("removed", directories * kPerDirectory);
    EXPECT_TRUE(succeeded(mount_test::run({"find", volume().root().string(), "-mindepth", "1", "-delete"}, kDeadline)));
  }
  expect_little_memory();
}

TEST_F(ScaleTest, DirectoriesAThousandDeep) {
  constexpr int kDepth = 1000;
  const std::string name(200, 'd');  // paths far beyond PATH_MAX
  Descriptor directory(open(volume().root().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(ERRNO_OF(mkdirat(directory.get(), name.c_str(), 0755)), 0) << i;
    directory = Descriptor(openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ASSERT_EQ(ERRNO_OF(symlinkat("end", directory.get(), "bottom")), 0);
  directory = Descriptor(-1);
  remount();
  directory = Descriptor(open(volume().root().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<ino_t> way;
  for (int i = 0; i < kDepth; ++i) {
    struct stat status {};
    ASSERT_EQ(fstat(directory.get(), &status), 0);
    ASSERT_EQ(status.st_nlink, 3U);
    way.push_back(status.st_ino);
    directory = Descriptor(openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_GE(directory.get(), 0) << i << ": errno " << errno;
  }
  std::string target(10, '\0');
  EXPECT_EQ(readlinkat(directory.get(), "bottom", target.data(), target.size()), 3);
  while (!way.empty()) {
    directory = Descriptor(openat(directory.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    ASSERT_EQ(fstat(directory.get(), &status), 0);
    ASSERT_EQ(status.st_ino, way.back());
    way.pop_back();
  }
  directory = Descriptor(-1);
  EXPECT_TRUE(succeeded(mount_test::run({"rm", "-r", path(name)})));
}

TEST_F(ScaleTest, SixtyFiveThousandLinks) {
  constexpr unsigned kLinks = 65'000;
  ASSERT_EQ(mkdir(path("links").c_str(), 0755), 0);
  { const Descriptor file(open(path("file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)); }
  {
    const Figure figure("linked", kLinks);
    for (unsigned i = 1; i < kLinks; ++i) {
      ASSERT_EQ(ERRNO_OF(link(path("file").c_str(), path("links/" + std::to_string(i)).c_str())), 0) << i;
    }
  }
  remount();
  struct stat status {};
  ASSERT_EQ(stat(path("links/64999").c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, kLinks);
  EXPECT_TRUE(succeeded(mount_test::run({"rm", "-r", path("links")})));
  ASSERT_EQ(stat(path("file").c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 1U);
}

TEST_F(ScaleTest, SparseFileOfFourExbibytes) {
  constexpr off_t kSize = off_t{1} << 62;
  constexpr off_t kMiddle = off_t{1} << 61;
  const std::string_view text = "far out";
  {
    const Descriptor file(open(path("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_EQ(ERRNO_OF(ftruncate(file.get(), kSize)), 0);
    for (const off_t at : {kMiddle, kSize - static_cast<off_t>(text.size())}) {
      ASSERT_EQ(pwrite(file.get(), text.data(), text.size(), at), static_cast<ssize_t>(text.size()));
    }
    ASSERT_EQ(ERRNO_OF(fsync(file.get())), 0);
  }
  remount();
  const Descriptor file(open(path("sparse").c_str(), O_RDWR | O_CLOEXEC));
  struct stat status {};
  ASSERT_EQ(fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_size, kSize);
  EXPECT_LT(status.st_blocks, 100);
  constexpr off_t kBlock = 4096;
  EXPECT_EQ(lseek(file.get(), 0, SEEK_DATA), kMiddle);
  EXPECT_EQ(lseek(file.get(), kMiddle, SEEK_HOLE), kMiddle + kBlock);
  EXPECT_EQ(lseek(file.get(), kMiddle + kBlock, SEEK_DATA), kSize - kBlock);
  for (const off_t at : {kMiddle, kSize - static_cast<off_t>(text.size())}) {
    std::string found(text.size(), '\0');
    ASSERT_EQ(pread(file.get(), found.data(), found.size(), at), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(found, text);
  }
  ASSERT_EQ(ERRNO_OF(ftruncate(file.get(), kMiddle)), 0);
  EXPECT_EQ(lseek(file.get(), 0, SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
}

TEST_F(ScaleTest, TenThousandOpenFilesWithoutNames) {
  constexpr int kFiles = 10'000;
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, kFiles + 100);
  limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
  ASSERT_EQ(ERRNO_OF(setrlimit(RLIMIT_NOFILE, &limit)), 0);
  const std::uint64_t free_before = volume().free_blocks();
  const std::string filler(3 * 4096, 'f');
  std::vector<Descriptor> files;
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = path("file" + std::to_string(i));
    files.emplace_back(open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    ASSERT_GE(files.back().get(), 0) << i << ": errno " << errno;
    ASSERT_EQ(write(files.back().get(), filler.data(), filler.size()), static_cast<ssize_t>(filler.size()));
    ASSERT_EQ(ERRNO_OF(unlink(name.c_str())), 0);
  }
  EXPECT_EQ(count_names(volume().root().string()), 0U);
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_EQ(pwrite(files[static_cast<std::size_t>(i)].get(), &i, sizeof i, 1), static_cast<ssize_t>(sizeof i));
  }
  for (int i = 0; i < kFiles; ++i) {
    int found = -1;
    const int fd = files[static_cast<std::size_t>(i)].get();
    ASSERT_EQ(pread(fd, &found, sizeof found, 1), static_cast<ssize_t>(sizeof found));
    ASSERT_EQ(found, i);
    struct stat status {};
    ASSERT_EQ(fstat(fd, &status), 0);
    ASSERT_EQ(status.st_nlink, 0U);
    ASSERT_EQ(status.st_size, static_cast<off_t>(filler.size()));
  }
  files.clear();
  // All of it is free again, and the next mount finds nothing to do.
  EXPECT_EQ(volume().settled_free_blocks(free_before), free_before);
  remount();
}

}  // namespace
}  // namespace ashlar::posix_test
