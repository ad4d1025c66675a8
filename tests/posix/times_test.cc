// Which operation changes which time (XBD 4.9 and each function's page), and setting them.
#include <fcntl.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <limits>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

ASHLAR_POSIX_SUITE(TimesTest);

TEST_P(TimesTest, OfDirectories) {
  make_directory("d");
  make_directory("e");
  make_file("e/file");
  const auto during = [this](const std::function<int()>& call) {
    return times_changed("d", [&] { EXPECT_EQ(ERRNO_OF(call()), 0); });
  };
  const auto p = [this](const std::string& name) { return path(name); };
  EXPECT_EQ(during([&] { return mkdir(p("d/directory").c_str(), 0755); }), "mc");
  EXPECT_EQ(during([&] { return symlink("x", p("d/symlink").c_str()); }), "mc");
  EXPECT_EQ(during([&] { return mkfifo(p("d/fifo").c_str(), 0644); }), "mc");
  EXPECT_EQ(during([&] { return link(p("e/file").c_str(), p("d/link").c_str()); }), "mc");
  EXPECT_EQ(during([&] { return rename(p("e/file").c_str(), p("d/link").c_str()); }), "");  // the same file
  EXPECT_EQ(during([&] { return unlink(p("d/link").c_str()); }), "mc");
  EXPECT_EQ(during([&] { return rename(p("e/file").c_str(), p("d/file").c_str()); }), "mc");
  EXPECT_EQ(during([&] { return rename(p("d/file").c_str(), p("d/renamed").c_str()); }), "mc");
  EXPECT_EQ(during([&] { return rename(p("d/renamed").c_str(), p("e/file").c_str()); }), "mc");
  EXPECT_EQ(during([&] { return rmdir(p("d/directory").c_str()); }), "mc");
  EXPECT_EQ(during([&] { return chmod(p("d").c_str(), 0700); }), "c");
  // What fails or only looks changes nothing.
  EXPECT_EQ(times_changed("d", [&] { EXPECT_EQ(ERRNO_OF(mkdir(p("d/fifo").c_str(), 0755)), EEXIST); }), "");
  EXPECT_EQ(times_changed("d", [&] { EXPECT_EQ(open_errno("d/fifo", O_RDONLY | O_NONBLOCK | O_CREAT), 0); }), "");
  make_file("d/file");
  EXPECT_EQ(times_changed("d", [&] { EXPECT_EQ(ERRNO_OF(truncate(p("d/file").c_str(), 5)), 0); }), "");
}

TEST_P(TimesTest, OfFiles) {
  make_file("file", "contents");
  make_directory("d");
  const auto during = [this](const std::function<int()>& call) {
    return times_changed("file", [&] { EXPECT_EQ(ERRNO_OF(call()), 0); });
  };
  const std::string file = path("file");
  EXPECT_EQ(during([&] { return link(file.c_str(), path("second").c_str()); }), "c");
  EXPECT_EQ(during([&] { return unlink(path("second").c_str()); }), "c");
  EXPECT_EQ(during([&] { return chmod(file.c_str(), 0600); }), "c");
  EXPECT_EQ(during([&] { return chown(file.c_str(), 5, 5); }), "c");
  EXPECT_EQ(
      during([&] { return rename(file.c_str(), path("d/f").c_str()) + rename(path("d/f").c_str(), file.c_str()); }),
      "c");
  EXPECT_EQ(during([&] { return setxattr(file.c_str(), "user.x", "1", 1, 0); }), "c");
  EXPECT_EQ(during([&] { return removexattr(file.c_str(), "user.x"); }), "c");
  EXPECT_EQ(during([&] { return truncate(file.c_str(), 100); }), "mc");
  EXPECT_EQ(during([&] { return truncate(file.c_str(), 4); }), "mc");
  EXPECT_EQ(during([&] { return truncate(file.c_str(), 4); }),
            deviates(Deviation::truncating_to_the_same_size) ? "" : "mc");
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(open_errno("file", O_WRONLY | O_TRUNC), 0); }), "mc");
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(open_errno("file", O_WRONLY), 0); }), "");
  {
    const OpenFile open_file(file, O_RDWR);
    EXPECT_EQ(during([&] { return pwrite(open_file.fd(), "xyz", 3, 0) == 3 ? 0 : -1; }), "mc");
    EXPECT_EQ(during([&] { return fsync(open_file.fd()); }), "");
    // XSH write: zero bytes to a regular file have no effect.
    EXPECT_EQ(during([&] { return write(open_file.fd(), "", 0) == 0 ? 0 : -1; }), "");
    EXPECT_EQ(during([&] { return fallocate(open_file.fd(), 0, 0, 50'000); }), "mc");
    EXPECT_EQ(during([&] { return fallocate(open_file.fd(), FALLOC_FL_ZERO_RANGE, 0, 50); }), "mc");
  }
  EXPECT_EQ(during([&] { return truncate(file.c_str(), 50'000); }),
            deviates(Deviation::truncating_to_the_same_size) ? "" : "mc");
  // What the kernel held back, or kept as it was, changes no time after the fact.
  const struct stat before = stat_of("file");
  filesystem().remount("");
  const struct stat after = stat_of("file");
  EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

TEST_P(TimesTest, AreTheSameAfterTheNextMount) {
  // However a new file is filled, within one tick of the clock or across two.
  constexpr std::array<const char*, 4> kWays = {"written", "allocated", "punched", "copied"};
  constexpr int kFiles = 500;
  alignas(4096) static const std::array<char, 4096> kBlock{};
  make_file("source", "contents");
  const auto name = [&](int i) { return kWays.at(static_cast<std::size_t>(i) % kWays.size()) + std::to_string(i); };
  std::vector<struct stat> seen;
  for (int i = 0; i < kFiles; ++i) {
    {
      const bool direct = i % 4 == 0;
      const OpenFile source(path("source"), O_RDONLY);
      const OpenFile file(path(name(i)), O_RDWR | O_CREAT | (direct ? O_DIRECT : 0));
      switch (i % 4) {
        case 0: ASSERT_EQ(write(file.fd(), kBlock.data(), kBlock.size()), 4096); break;
        case 1: ASSERT_EQ(fallocate(file.fd(), 0, 0, 5000), 0); break;
        case 2: ASSERT_EQ(fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5000), 0); break;
        default: ASSERT_EQ(copy_file_range(source.fd(), nullptr, file.fd(), nullptr, 8, 0), 8); break;
      }
    }
    seen.push_back(stat_of(name(i)));
  }
  filesystem().remount("");
  for (int i = 0; i < kFiles; ++i) {
    const struct stat& before = seen.at(static_cast<std::size_t>(i));
    const struct stat after = stat_of(name(i));
    EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec) << name(i);
    EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec) << name(i);
    EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec) << name(i);
  }
}

bool is_before(const timespec& left, const timespec& right) {
  return left.tv_sec != right.tv_sec ? left.tv_sec < right.tv_sec : left.tv_nsec < right.tv_nsec;
}

TEST_P(TimesTest, NeverGoBack) {
  // XBD 4.9: times are set to the time of the change, so none becomes earlier by a later one.
  for (int i = 0; i < 200; ++i) {
    const OpenFile file(path(std::to_string(i)), O_RDWR | O_CREAT);
    struct stat made {};
    struct stat written {};
    ASSERT_EQ(fstat(file.fd(), &made), 0);
    ASSERT_EQ(write(file.fd(), "x", 1), 1);
    ASSERT_EQ(fstat(file.fd(), &written), 0);
    ASSERT_FALSE(is_before(written.st_mtim, made.st_mtim)) << i;
    ASSERT_FALSE(is_before(written.st_ctim, made.st_ctim)) << i;
  }
}

TEST_P(TimesTest, WhatIsMadeLaterIsNotOlder) {
  // XBD 4.9, for what make(1) compares: a file that is made empty, and one that is written next.
  for (int i = 0; i < 200; ++i) {
    const std::string first = "first" + std::to_string(i);
    const std::string second = "second" + std::to_string(i);
    make_file(first);
    make_file(second, "made of the first");
    ASSERT_FALSE(is_before(stat_of(second).st_mtim, stat_of(first).st_mtim)) << i;
    ASSERT_FALSE(is_before(stat_of("").st_mtim, stat_of(first).st_mtim)) << i;
  }
}

TEST_P(TimesTest, ReadingMovesTheAccessTime) {
  make_file("file", "contents");
  make_directory("d");
  // Older than the others, so that relatime (mount(8)) moves it.
  const std::array<timespec, 2> old = {timespec{1000, 0}, timespec{0, UTIME_OMIT}};
  ASSERT_EQ(utimensat(AT_FDCWD, path("file").c_str(), old.data(), 0), 0);
  const std::string expected = deviates(Deviation::reading_keeps_access_time) ? "" : "a";
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(contents_of("file"), "contents"); }), expected);
}

TEST_P(TimesTest, OfPipes) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0644), 0);
  const OpenFile fifo(path("fifo"), O_RDWR | O_NONBLOCK);
  // XSH write: modification and change time, of a FIFO as well.
  EXPECT_EQ(times_changed("fifo", [&] { EXPECT_EQ(write(fifo.fd(), "x", 1), 1); }),
            deviates(Deviation::pipes_keep_their_times) ? "" : "mc");
  EXPECT_EQ(times_changed("fifo", [&] { EXPECT_EQ(ERRNO_OF(chmod(path("fifo").c_str(), 0600)), 0); }), "c");
}

TEST_P(TimesTest, OfWhatIsMovedAndReplaced) {
  make_directory("from");
  make_directory("to");
  make_file("from/file");
  make_file("from/moving");
  make_file("to/replaced");
  make_directory("from/directory");
  ASSERT_EQ(link(path("to/replaced").c_str(), path("survivor").c_str()), 0);
  const auto moves = [this](const char* from, const char* to, unsigned flags) {
    return [=, this] {
      EXPECT_EQ(ERRNO_OF(renameat2(AT_FDCWD, path(from).c_str(), AT_FDCWD, path(to).c_str(), flags)), 0);
    };
  };
  // XSH rename: both directories; on Linux the change time of what moves, and of what loses a name (XSH unlink).
  EXPECT_EQ(times_changed("survivor", moves("from/moving", "to/replaced", 0)), "c");
  EXPECT_EQ(times_changed("from", moves("from/file", "to/file", 0)), "mc");
  EXPECT_EQ(times_changed("to", moves("to/file", "from/file", 0)), "mc");
  make_file("other");
  struct stat before = stat_of("from/directory");
  let_time_pass();
  moves("from/directory", "to/directory", 0)();
  EXPECT_TRUE(is_before(before.st_ctim, stat_of("to/directory").st_ctim));
  EXPECT_FALSE(is_before(before.st_mtim, stat_of("to/directory").st_mtim));
  // rename(2), RENAME_EXCHANGE: of both.
  before = stat_of("other");
  EXPECT_EQ(times_changed("other",
                          [&] {
                            moves("other", "from/file", RENAME_EXCHANGE)();
                            moves("other", "from/file", RENAME_EXCHANGE)();
                          }),
            "c");
}

TEST_P(TimesTest, Setting) {
  make_file("file");
  const std::string file = path("file");
  const auto sets = [&](timespec accessed, timespec modified) {
    const std::array<timespec, 2> times = {accessed, modified};
    return ERRNO_OF(utimensat(AT_FDCWD, file.c_str(), times.data(), 0));
  };
  // utimensat(2); before 1970 and past 2038 (ext4 reaches 2446).
  EXPECT_EQ(sets({-1, 999'999'999}, {-2'000'000'000, 1}), 0);
  EXPECT_EQ(stat_of("file").st_atim.tv_sec, -1);
  EXPECT_EQ(stat_of("file").st_atim.tv_nsec, 999'999'999);
  EXPECT_EQ(stat_of("file").st_mtim.tv_sec, -2'000'000'000);
  EXPECT_EQ(sets({0, UTIME_OMIT}, {15'000'000'000, 123'456'789}), 0);
  EXPECT_EQ(stat_of("file").st_atim.tv_sec, -1);
  EXPECT_EQ(stat_of("file").st_mtim.tv_sec, 15'000'000'000);
  filesystem().remount("");
  EXPECT_EQ(stat_of("file").st_atim.tv_nsec, 999'999'999);
  EXPECT_EQ(stat_of("file").st_mtim.tv_nsec, 123'456'789);
  EXPECT_EQ(sets({0, 1'000'000'000}, {0, 0}), EINVAL);
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(sets({0, UTIME_OMIT}, {0, UTIME_OMIT}), 0); }), "");
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(sets({5, 0}, {0, UTIME_OMIT}), 0); }), "ac");
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(sets({0, UTIME_NOW}, {0, UTIME_NOW}), 0); }), "am~c");
}

TEST_P(TimesTest, WhoMaySet) {
  make_file("file", "", 0666);
  make_file("closed", "", 0644);
  const auto sets = [this](const std::string& name, const timespec* times) {
    const std::string full = path(name);
    return errno_as(kAlice, [&] { return utimensat(AT_FDCWD, full.c_str(), times, 0); });
  };
  // utimensat(2), permissions: both now needs write permission or ownership; anything else, ownership.
  const std::array<timespec, 2> now = {timespec{0, UTIME_NOW}, timespec{0, UTIME_NOW}};
  const std::array<timespec, 2> mixed = {timespec{0, UTIME_NOW}, timespec{0, UTIME_OMIT}};
  const std::array<timespec, 2> given = {timespec{1, 0}, timespec{1, 0}};
  const std::array<timespec, 2> nothing = {timespec{0, UTIME_OMIT}, timespec{0, UTIME_OMIT}};
  EXPECT_EQ(sets("file", nullptr), 0);
  EXPECT_EQ(sets("file", now.data()), 0);
  EXPECT_EQ(sets("file", mixed.data()), EPERM);
  EXPECT_EQ(sets("file", given.data()), EPERM);
  EXPECT_EQ(sets("closed", nullptr), EACCES);
  EXPECT_EQ(sets("closed", given.data()), EPERM);
  EXPECT_EQ(sets("closed", nothing.data()), 0);
}

}  // namespace
}  // namespace ashlar::posix_test
