// ashlarctl label, of volumes that are mounted and of those that are not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

CommandResult label(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {program("ashlarctl"), "label"});
  return run(arguments);
}

class Labelled : public ::testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(GetParam() != DeviceKind::image);
    volume_ = std::make_unique<MountedVolume>(GetParam(), kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(run({program("mkfs.ashlarfs"), "-q", "-L", "first", device()})));
  }

  [[nodiscard]] std::string root() const { return volume_->root().string(); }
  [[nodiscard]] const std::string& device() const { return volume_->device().path(); }
  static void expect_label(const std::string& volume, const std::string& expected) {
    const CommandResult result = label({volume});
    EXPECT_TRUE(succeeded(result));
    EXPECT_EQ(result.output, expected + "\n");
  }
  void mount_again() const {
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
    expect_label(root(), expected_);
    ASSERT_TRUE(succeeded(volume_->unmount()));
    ASSERT_TRUE(succeeded(volume_->check(true)));
    expect_label(device(), expected_);
  }

  std::unique_ptr<MountedVolume> volume_;
  std::string expected_ = "first";
};

TEST_P(Labelled, IsShownAndChangedMountedOrNot) {
  expect_label(device(), "first");
  const CommandResult changed = label({device(), "not mounted"});
  EXPECT_TRUE(succeeded(changed));
  EXPECT_EQ(changed.output, "");
  expect_label(device(), "not mounted");

  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  std::filesystem::create_directory(volume_->root() / "d");
  expect_label(root(), "not mounted");
  EXPECT_TRUE(succeeded(label({root(), "by mount point"})));
  expect_label(root(), "by mount point");
  expect_label((volume_->root() / "d").string(), "by mount point");
  expect_label(device(), "by mount point");
  EXPECT_TRUE(succeeded(label({device(), std::string(64, 'x')})));
  expect_label(root(), std::string(64, 'x'));
  ASSERT_TRUE(succeeded(volume_->unmount()));
  // At once, though its daemon may still be ending.
  EXPECT_TRUE(succeeded(label({device(), ""})));
  expected_ = "";
  expect_label(device(), "");
  mount_again();
}

TEST_P(Labelled, NothingElseIsChanged) {
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  std::ofstream(volume_->root() / "file") << "kept";
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  const std::uint64_t before = digest_of(device());
  ASSERT_TRUE(succeeded(label({device(), "other"})));
  EXPECT_NE(digest_of(device()), before);
  ASSERT_TRUE(succeeded(label({device(), "first"})));
  EXPECT_EQ(digest_of(device()), before);
  mount_again();
}

TEST_P(Labelled, ABadCopyIsGoodAgain) {
  {
    std::fstream image(volume_->device().image(), std::ios::in | std::ios::out | std::ios::binary);
    image.seekp(8192 + 40);  // slot 1, which mkfs wrote
    image << "damage";
  }
  EXPECT_EQ(volume_->check().exit_status, 4);
  ASSERT_TRUE(succeeded(label({device(), "healed"})));
  ASSERT_TRUE(succeeded(volume_->check()));
  expected_ = "healed";
  mount_again();
}

TEST_P(Labelled, WhatCannotBeDoneIsSaid) {
  EXPECT_TRUE(refused(label({device(), std::string(65, 'x')}), {device(), "at most 64 bytes"}));
  EXPECT_TRUE(refused(label({device(), "Gr\xfcn"}), {device(), "UTF-8"}));
  EXPECT_TRUE(refused(label({"/"}), {"/: is not in a mounted AshlarFS volume"}));
  EXPECT_TRUE(refused(label({"/nowhere"}), {"/nowhere"}));
  EXPECT_TRUE(refused(label({"/nowhere", "x"}), {"/nowhere"}));
  const std::string blank = (volume_->outside() / "blank.img").string();
  make_sparse_file(blank, 32U << 20);
  const std::uint64_t before = digest_of(blank);
  EXPECT_TRUE(refused(label({blank}), {blank, "not an AshlarFS volume"}));
  EXPECT_TRUE(refused(label({blank, "x"}), {blank, "not an AshlarFS volume"}));
  EXPECT_EQ(digest_of(blank), before);

  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring, "ro")));
  expect_label(root(), "first");
  EXPECT_TRUE(refused(label({root(), "x"}), {root(), "read-only"}));
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  std::filesystem::permissions(volume_->outside().parent_path(), std::filesystem::perms(0755));
  const std::filesystem::path reachable = volume_->outside() / "ashlarctl";
  std::filesystem::copy_file(program("ashlarctl"), reachable);
  EXPECT_TRUE(refused(
      run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", reachable.string(), "label", root(), "x"}),
      {root(), "only root may"}));
  expect_label(root(), "first");
}

INSTANTIATE_TEST_SUITE_P(Devices, Labelled, ::testing::Values(DeviceKind::image, DeviceKind::loop_4096),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

}  // namespace
}  // namespace ashlar::mount_test
