// ashlarctl uuid: another UUID is kept by mounts and by fsck.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

constexpr const char* kMade = "abcdabcd-0000-4000-8000-00000000abcd";
constexpr const char* kGiven = "01234567-89ab-4def-8123-456789abcdef";

CommandResult uuid(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {program("ashlarctl"), "uuid"});
  return run(arguments);
}

class Identified : public ::testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(GetParam() != DeviceKind::image);
    volume_ = std::make_unique<MountedVolume>(GetParam(), kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(run({program("mkfs.ashlarfs"), "-q", "-U", kMade, device()})));
  }
  [[nodiscard]] std::string root() const { return volume_->root().string(); }
  [[nodiscard]] const std::string& device() const { return volume_->device().path(); }
  static void expect_uuid(const std::string& volume, const std::string& expected) {
    const CommandResult result = uuid({volume});
    EXPECT_TRUE(succeeded(result));
    EXPECT_EQ(result.output, expected + "\n");
  }

  std::unique_ptr<MountedVolume> volume_;
};

TEST_P(Identified, AnotherUuidIsKept) {
  expect_uuid(device(), kMade);
  ASSERT_TRUE(succeeded(uuid({device(), kGiven})));
  expect_uuid(device(), kGiven);
  ASSERT_TRUE(succeeded(volume_->check(true)));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  expect_uuid(root(), kGiven);
  expect_uuid(device(), kGiven);
  const CommandResult status = run({program("ashlarctl"), "stat", "--json", root()});
  EXPECT_NE(status.output.find(kGiven), std::string::npos);
  std::ofstream(volume_->root() / "file") << "kept";
  EXPECT_TRUE(refused(uuid({device(), kMade}), {device(), "mounted at " + root()}));
  EXPECT_TRUE(refused(uuid({root(), kMade}), {"mounted at " + root()}));
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));  // its daemon has ended
  {
    std::fstream image(volume_->device().image(), std::ios::in | std::ios::out | std::ios::binary);
    image.seekp(8192 + 40);  // the first copies of both slots
    image << "damage";
    image.seekp(4096 + 40);
    image << "damage";
  }
  EXPECT_EQ(run({program("fsck.ashlarfs"), "-y", device()}).exit_status, 1);
  ASSERT_TRUE(succeeded(volume_->check(true)));
  expect_uuid(device(), kGiven);
  ASSERT_TRUE(succeeded(volume_->mount(Engine::aio)));
  expect_uuid(root(), kGiven);
  ASSERT_TRUE(succeeded(volume_->unmount()));
}

TEST_P(Identified, NothingElseIsChanged) {
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  std::ofstream(volume_->root() / "file") << "kept";
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  const std::uint64_t before = digest_of(device());
  ASSERT_TRUE(succeeded(uuid({device(), "random"})));
  EXPECT_NE(digest_of(device()), before);
  ASSERT_TRUE(succeeded(uuid({device(), kMade})));
  EXPECT_EQ(digest_of(device()), before);
}

INSTANTIATE_TEST_SUITE_P(Devices, Identified, ::testing::Values(DeviceKind::image, DeviceKind::loop_4096),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

}  // namespace
}  // namespace ashlar::mount_test
