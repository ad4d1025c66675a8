// In what sizes the kernel asks: large files are to cost few requests, on every kind of device.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

constexpr std::size_t kMiB = 1U << 20;
constexpr std::size_t kFileMiB = 64;
// Without read-ahead settings of its own a mount gets requests of 128 KiB.
constexpr std::uint64_t kLeastAverage = kMiB / 2;

class TransfersTest : public EverySetupTest {
 protected:
  // What the device was asked to read so far, in operations and bytes.
  [[nodiscard]] nlohmann::json reads() {
    const CommandResult result = run({program("ashlarctl"), "stat", "--json", volume().root().string()});
    EXPECT_TRUE(succeeded(result));
    return nlohmann::json::parse(result.output, nullptr, false)["io"]["operations"]["read"];
  }
};

TEST_P(TransfersTest, ALargeFileIsReadInLargePieces) {
  const std::string path = (volume().root() / "large").string();
  const std::string piece(kMiB, 'x');
  int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  for (std::size_t i = 0; i < kFileMiB; ++i) ASSERT_EQ(write(fd, piece.data(), kMiB), static_cast<ssize_t>(kMiB));
  close(fd);
  ASSERT_NO_FATAL_FAILURE(remount(GetParam().engine));

  const nlohmann::json before = reads();
  fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  std::string read_back(kMiB, '\0');
  for (std::size_t i = 0; i < kFileMiB; ++i) {
    ASSERT_EQ(read(fd, read_back.data(), kMiB), static_cast<ssize_t>(kMiB));
    ASSERT_EQ(read_back, piece);
  }
  close(fd);
  const nlohmann::json after = reads();
  const auto operations = after["completed"].get<std::uint64_t>() - before["completed"].get<std::uint64_t>();
  const auto bytes = after["bytes"].get<std::uint64_t>() - before["bytes"].get<std::uint64_t>();
  ASSERT_GE(bytes, kFileMiB * kMiB);
  EXPECT_GE(bytes / operations, kLeastAverage) << operations << " reads of the device";
}

INSTANTIATE_TEST_SUITE_P(Mount, TransfersTest, every_setup(), setup_name);

}  // namespace
}  // namespace ashlar::mount_test
