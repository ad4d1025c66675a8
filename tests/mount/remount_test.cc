// Unmounting loses nothing, also when the next mount follows at once; and what `mount -o remount` does.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using testing::HasSubstr;

constexpr int kRounds = 8;
constexpr int kFilesEachRound = 50;

std::string contents_of(int round, int file) {
  // From inside the tree to many blocks.
  return std::string(static_cast<std::size_t>(file * file * 97 + round), static_cast<char>('a' + (round + file) % 26));
}

class RemountTest : public EverySetupTest {
 protected:
  [[nodiscard]] std::uint64_t volume_bytes() const override { return kSmallVolumeBytes; }
  [[nodiscard]] std::filesystem::path file(int round, int number) {
    return volume().root() / ("round" + std::to_string(round) + "-" + std::to_string(number));
  }

  void write_round(int round) {
    for (int i = 0; i < kFilesEachRound; ++i) {
      std::ofstream stream(file(round, i));
      stream << contents_of(round, i);
      ASSERT_TRUE(stream.flush()) << file(round, i);
    }
  }

  void verify_round(int round) {
    for (int i = 0; i < kFilesEachRound; ++i) {
      std::ifstream stream(file(round, i));
      const std::string found{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      ASSERT_TRUE(found == contents_of(round, i)) << file(round, i) << " has " << found.size() << " bytes";
    }
  }
};

TEST_P(RemountTest, MountingAtOnceAfterUmountFindsEverything) {
  Engine engine = GetParam().engine;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_NO_FATAL_FAILURE(write_round(round));
    engine = other(engine);
    ASSERT_TRUE(succeeded(volume().unmount()));
    ASSERT_TRUE(succeeded(volume().mount(engine)));
    for (int earlier = 0; earlier <= round; ++earlier) ASSERT_NO_FATAL_FAILURE(verify_round(earlier));
  }
  ASSERT_TRUE(succeeded(volume().unmount()));
  EXPECT_TRUE(succeeded(volume().check()));
}

TEST_P(RemountTest, FusermountUnmountsAsWell) {
  ASSERT_NO_FATAL_FAILURE(write_round(0));
  ASSERT_TRUE(succeeded(run({"fusermount3", "-u", volume().root().string()})));
  ASSERT_TRUE(succeeded(volume().mount(GetParam().engine)));
  ASSERT_NO_FATAL_FAILURE(verify_round(0));
}

TEST_P(RemountTest, ReadOnlyReadsEverythingAndChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(write_round(0));
  ASSERT_TRUE(succeeded(volume().unmount()));
  ASSERT_TRUE(succeeded(volume().check()));  // waits until the daemon has finished
  const std::uint64_t before = digest_of(volume().device().image());

  ASSERT_TRUE(succeeded(volume().mount(GetParam().engine, "ro")));
  ASSERT_NO_FATAL_FAILURE(verify_round(0));
  EXPECT_EQ(open(file(1, 1).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(unlink(file(0, 1).c_str()), -1);
  EXPECT_EQ(errno, EROFS);
  ASSERT_TRUE(succeeded(volume().unmount()));
  ASSERT_TRUE(succeeded(volume().check()));
  EXPECT_EQ(digest_of(volume().device().image()), before);
}

// As mount(8) calls its helper: with all that the kernel says of the mount, and what is to be different.
TEST_P(RemountTest, OptionsOfTheKernelChangeWhileItIsMounted) {
  constexpr const char* kTold = "relatime,user_id=0,group_id=0,default_permissions,allow_other,dev,suid,remount,";
  const std::string root = volume().root().string();
  const auto remounted = [&](const std::string& options) {
    return run({program("mount.ashlarfs"), volume().device().path(), root, "-o", kTold + options});
  };
  const auto flags = [&] {
    struct statvfs status {};
    EXPECT_EQ(statvfs(root.c_str(), &status), 0);
    return status.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC);
  };
  ASSERT_NO_FATAL_FAILURE(write_round(0));
  ASSERT_TRUE(succeeded(remounted("ro,nosuid")));
  EXPECT_EQ(flags(), static_cast<unsigned long>(ST_RDONLY | ST_NOSUID));
  EXPECT_EQ(unlink(file(0, 1).c_str()), -1);
  EXPECT_EQ(errno, EROFS);
  ASSERT_NO_FATAL_FAILURE(verify_round(0));
  ASSERT_TRUE(succeeded(remounted("rw,noexec")));
  EXPECT_EQ(flags(), static_cast<unsigned long>(ST_NOEXEC));
  const int fd = open(file(1, 1).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  EXPECT_GE(fd, 0);
  EXPECT_THAT(remounted("ro").errors, HasSubstr("files are open for writing"));
  close(fd);
  EXPECT_THAT(
      run({program("mount.ashlarfs"), volume().device().path(), volume().outside().string(), "-o", "remount"}).errors,
      HasSubstr("no AshlarFS volume is mounted there"));

  // What the daemon opened for reading alone it cannot write to, whatever the kernel would let through.
  ASSERT_TRUE(succeeded(volume().unmount()));
  ASSERT_TRUE(succeeded(volume().mount(GetParam().engine, "ro")));
  EXPECT_THAT(remounted("rw").errors, HasSubstr("unmount and mount it again to write"));
  EXPECT_EQ(flags(), static_cast<unsigned long>(ST_RDONLY));
}

INSTANTIATE_TEST_SUITE_P(Mount, RemountTest, every_setup(), setup_name);

}  // namespace
}  // namespace ashlar::mount_test
