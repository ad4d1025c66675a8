// relatime, strictatime, nodiratime and noatime (mount(8)), O_NOATIME (open(2)) and chattr(1) A: when reading moves
// access times.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class AccessTimesTest : public PosixTest {
 protected:
  // Each moves exactly what it should: "a", or "" for nothing.
  [[nodiscard]] std::string reading(const std::string& name, int flags = O_RDONLY) const {
    return times_changed(name, [&] {
      const OpenFile file(path(name), flags);
      std::array<char, 100> buffer{};
      EXPECT_GT(read(file.fd(), buffer.data(), buffer.size()), 0) << name;
    });
  }
  [[nodiscard]] std::string listing(const std::string& name) const {
    return times_changed(name, [&] { static_cast<void>(names_in(name)); });
  }
  [[nodiscard]] std::string following(const std::string& name) const {
    return times_changed(name, [&] { static_cast<void>(contents_of(name)); });
  }
  [[nodiscard]] std::string reading_link(const std::string& name) const {
    return times_changed(name, [&] {
      std::array<char, 100> buffer{};
      EXPECT_GT(readlink(path(name).c_str(), buffer.data(), buffer.size()), 0) << name;
    });
  }
  // Long since read, and written after that.
  void make_old(const std::string& name) const {
    const std::array<timespec, 2> times = {timespec{1000, 0}, timespec{2000, 0}};
    ASSERT_EQ(ERRNO_OF(utimensat(AT_FDCWD, path(name).c_str(), times.data(), AT_SYMLINK_NOFOLLOW)), 0);
  }
  void make_things() const {
    make_directory("d");
    make_file("d/file", "contents");
    ASSERT_EQ(symlink("d/file", path("link").c_str()), 0);
    for (const char* const name : {"d", "d/file", "link"}) make_old(name);
  }
  void write_to(const std::string& name) const {
    const OpenFile file(path(name), O_WRONLY);
    EXPECT_EQ(write(file.fd(), "other", 5), 5);
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, AccessTimesTest, every_filesystem(), kind_name);

TEST_P(AccessTimesTest, Relatime) {
  filesystem().remount("relatime");
  make_things();
  // mount(8): if the earlier access time is not later than the modification or change time.
  EXPECT_EQ(reading("d/file"), "a");
  EXPECT_EQ(reading("d/file"), "");
  write_to("d/file");
  EXPECT_EQ(reading("d/file"), "a");
  EXPECT_EQ(chmod(path("d/file").c_str(), 0600), 0);
  EXPECT_EQ(reading("d/file"), "a");
  EXPECT_EQ(reading("d/file"), "");
  EXPECT_EQ(listing("d"), "a");
  EXPECT_EQ(listing("d"), "");
  make_file("d/more");
  EXPECT_EQ(listing("d"), "a");
  EXPECT_EQ(reading_link("link"), "a");
  EXPECT_EQ(reading_link("link"), "");
  // What was moved is there after another mount, and not before the next reading.
  const struct stat before = stat_of("d/file");
  filesystem().remount("relatime");
  const struct stat after = stat_of("d/file");
  EXPECT_EQ(after.st_atim.tv_sec, before.st_atim.tv_sec);
  EXPECT_EQ(after.st_atim.tv_nsec, before.st_atim.tv_nsec);
  EXPECT_EQ(reading("d/file"), "");
}

TEST_P(AccessTimesTest, Strictatime) {
  filesystem().remount("strictatime");
  make_things();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(reading("d/file"), "a");
    EXPECT_EQ(listing("d"), "a");
    EXPECT_EQ(reading_link("link"), "a");
    EXPECT_EQ(following("link"), "a");
  }
  // XSH mmap: at the latest when a page is first referenced.
  EXPECT_EQ(times_changed("d/file",
                          [&] {
                            const OpenFile file(path("d/file"), O_RDONLY);
                            void* const mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.fd(), 0);
                            ASSERT_NE(mapped, MAP_FAILED);
                            EXPECT_EQ(*static_cast<const volatile char*>(mapped), 'c');
                            munmap(mapped, 4096);
                          }),
            "a");
  // Writing does not count as reading, nor does looking.
  EXPECT_EQ(times_changed("d/file", [&] { write_to("d/file"); }), "mc");
  EXPECT_EQ(times_changed("d/file", [&] { static_cast<void>(stat_of("d/file")); }), "");
}

TEST_P(AccessTimesTest, OfEveryReadOnOneDescriptor) {
  filesystem().remount("strictatime");
  make_file("file", std::string(4096, 'x'));
  const OpenFile direct(path("file"), O_RDONLY | O_DIRECT);
  const OpenFile buffered(path("file"), O_RDONLY);
  alignas(4096) std::array<char, 4096> buffer{};
  const auto reading_through = [&](int fd) {
    return times_changed("file", [&] { EXPECT_EQ(pread(fd, buffer.data(), buffer.size(), 0), 4096); });
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(reading_through(direct.fd()), "a");
  EXPECT_EQ(reading_through(buffered.fd()), "a");
  EXPECT_EQ(reading_through(buffered.fd()), deviates(Deviation::cached_reads_keep_access_time) ? "" : "a");
}

TEST_P(AccessTimesTest, WhatIsExempt) {
  filesystem().remount("strictatime");
  make_things();
  // open(2), O_NOATIME
  EXPECT_EQ(reading("d/file", O_RDONLY | O_NOATIME), "");
  EXPECT_EQ(reading("d/file"), "a");
  {
    // chattr(1), A
    const OpenFile file(path("d/file"), O_RDONLY | O_NOATIME);
    unsigned flags = FS_NOATIME_FL;
    ASSERT_EQ(ERRNO_OF(ioctl(file.fd(), FS_IOC_SETFLAGS, &flags)), 0);
  }
  EXPECT_EQ(reading("d/file"), "");
  filesystem().remount("strictatime,nodiratime");
  EXPECT_EQ(listing("d"), "");
  EXPECT_EQ(reading_link("link"), "a");
  filesystem().remount("noatime");
  make_old("link");
  make_file("other", "contents");
  make_old("other");
  EXPECT_EQ(reading("other"), "");
  EXPECT_EQ(listing("d"), "");
  EXPECT_EQ(reading_link("link"), "");
}

TEST_P(AccessTimesTest, NothingOnAReadOnlyMount) {
  make_things();
  filesystem().remount("ro,strictatime");
  EXPECT_EQ(reading("d/file"), "");
  EXPECT_EQ(listing("d"), "");
  EXPECT_EQ(reading_link("link"), "");
  filesystem().remount("");
}

}  // namespace
}  // namespace ashlar::posix_test
