// Unmounting loses nothing, also when the next mount follows at once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

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

INSTANTIATE_TEST_SUITE_P(Mount, RemountTest, every_setup(), setup_name);

}  // namespace
}  // namespace ashlar::mount_test
