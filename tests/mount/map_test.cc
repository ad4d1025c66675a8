// ashlarctl map of a volume that is in use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr std::uint64_t kBlock = 4096;
constexpr std::size_t kFileBytes = 1U << 20;
constexpr unsigned kFiles = 20;

class Mapped : public ::testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
  }

  [[nodiscard]] CommandResult map() const { return run({program("ashlarctl"), "map", "--json", device()}); }
  [[nodiscard]] json figures() const {
    const CommandResult result = map();
    EXPECT_TRUE(succeeded(result));
    return json::parse(result.output, nullptr, false);
  }
  [[nodiscard]] const std::string& device() const { return volume_->device().path(); }

  std::unique_ptr<MountedVolume> volume_;
};

TEST_F(Mapped, CountsWhatFilesTake) {
  const json empty = figures();
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  const json mounted = figures();
  EXPECT_EQ(mounted["blocks"], kSmallVolumeBytes / kBlock);
  EXPECT_EQ(mounted["fixed"], empty["fixed"]);
  std::ofstream(volume_->root() / "file") << std::string(kFiles * kFileBytes, 'x');
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  const json after = figures();
  EXPECT_EQ(after["fixed"], empty["fixed"]);
  const std::uint64_t more = after["used"].get<std::uint64_t>() - empty["used"].get<std::uint64_t>();
  EXPECT_GE(more, kFiles * kFileBytes / kBlock);
  EXPECT_LT(more, kFiles * kFileBytes / kBlock + 100);
  EXPECT_EQ(after["free"].get<std::uint64_t>() + more, empty["free"].get<std::uint64_t>());
}

TEST_F(Mapped, WhileItIsWrittenTo) {
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring, "commit=1")));
  std::atomic<bool> over = false;
  std::thread writer([&] {
    for (unsigned i = 0; !over; ++i) {
      std::ofstream(volume_->root() / std::to_string(i % kFiles)) << std::string(kFileBytes, 'x');
    }
  });
  for (int i = 0; i < 50; ++i) {
    const CommandResult result = map();
    const json shown = json::parse(result.output, nullptr, false);
    ASSERT_FALSE(shown.is_discarded()) << result.output << result.errors;
    std::uint64_t sum = 0;
    for (const char* const part : {"used", "fixed", "free", "unknown"}) sum += shown[part].get<std::uint64_t>();
    EXPECT_GE(sum, kSmallVolumeBytes / kBlock);
    if (result.exit_status != 0) {
      EXPECT_THAT(result.errors, HasSubstr("in use and changing fast"));
    }
  }
  over = true;
  writer.join();
}

}  // namespace
}  // namespace ashlar::mount_test
