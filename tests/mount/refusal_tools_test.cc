// What mkfs, fsck and ashlarctl must refuse, and that they then change nothing.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

// Exit codes of fsck(8).
constexpr int kOperationalError = 8;
constexpr int kUsageError = 16;

class ToolRefusalTest : public testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
  }

  [[nodiscard]] MountedVolume& volume() { return *volume_; }
  [[nodiscard]] const std::string& image() const { return volume_->device().image(); }

  CommandResult expect_refused(const std::vector<std::string>& argv, const std::vector<std::string>& mentions) {
    const std::uint64_t before = digest_of(image());
    CommandResult result = run(argv);
    EXPECT_TRUE(refused(result, mentions));
    EXPECT_EQ(digest_of(image()), before) << "the device was changed";
    return result;
  }

 private:
  std::unique_ptr<MountedVolume> volume_;
};

TEST_F(ToolRefusalTest, MkfsSparesAMountedImageEvenWhenForced) {
  ASSERT_TRUE(succeeded(volume().format()));
  ASSERT_TRUE(succeeded(volume().mount(Engine::io_uring)));
  { std::ofstream(volume().root() / "file") << "kept"; }
  EXPECT_TRUE(refused(run({program("mkfs.ashlarfs"), "-f", image()}), {image()}));
  ASSERT_TRUE(succeeded(volume().unmount()));
  EXPECT_TRUE(succeeded(volume().check()));
  ASSERT_TRUE(succeeded(volume().mount(Engine::io_uring)));
  EXPECT_TRUE(fs::exists(volume().root() / "file"));
}

TEST_F(ToolRefusalTest, MkfsSparesAMountedBlockDeviceEvenWhenForced) {
  ASHLAR_NEEDS_MOUNTING(true);
  MountedVolume other(DeviceKind::loop_4096, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(other.format()));
  ASSERT_TRUE(succeeded(other.mount(Engine::io_uring)));
  EXPECT_TRUE(refused(run({program("mkfs.ashlarfs"), "-f", other.device().path()}), {other.device().path()}));
  ASSERT_TRUE(succeeded(other.unmount()));
  EXPECT_TRUE(succeeded(other.check()));
}

TEST_F(ToolRefusalTest, MkfsSparesAnotherFilesystemUnlessForced) {
  ASSERT_TRUE(succeeded(run({"mkfs.ext4", "-q", image()})));
  expect_refused({program("mkfs.ashlarfs"), image()}, {image(), "ext4", "-f"});
  EXPECT_TRUE(succeeded(run({program("mkfs.ashlarfs"), "-q", "-f", image()})));
  EXPECT_TRUE(succeeded(volume().check()));
  EXPECT_EQ(run({"blkid", "-p", image()}).output.find("ext4"), std::string::npos) << "the old signature is still there";
}

TEST_F(ToolRefusalTest, MkfsSparesAVolumeOfOursUnlessForced) {
  ASSERT_TRUE(succeeded(volume().format()));
  expect_refused({program("mkfs.ashlarfs"), image()}, {image(), "-f"});
  EXPECT_TRUE(succeeded(run({program("mkfs.ashlarfs"), "-q", "-f", image()})));
}

TEST_F(ToolRefusalTest, MkfsSaysHowLargeADeviceMustBe) {
  const fs::path small = volume().outside() / "small.img";
  make_sparse_file(small, 1U << 20);
  const std::uint64_t before = digest_of(small);
  EXPECT_TRUE(refused(run({program("mkfs.ashlarfs"), small.string()}), {small.string(), "16"}));
  EXPECT_EQ(digest_of(small), before);
}

TEST_F(ToolRefusalTest, MkfsOfAMissingDeviceWithoutASizeMakesNone) {
  const std::string nothing = (volume().outside() / "nothing.img").string();
  EXPECT_TRUE(refused(run({program("mkfs.ashlarfs"), nothing}), {nothing}));
  EXPECT_FALSE(fs::exists(nothing));
}

TEST_F(ToolRefusalTest, MkfsMakesAnImageOfTheSizeGiven) {
  const fs::path made = volume().outside() / "made.img";
  EXPECT_TRUE(succeeded(run({program("mkfs.ashlarfs"), "-q", "-L", "granite", made.string(), "64M"})));
  EXPECT_EQ(fs::file_size(made), 64U << 20);
  EXPECT_TRUE(succeeded(run({program("fsck.ashlarfs"), "-n", "-f", made.string()})));
  const CommandResult info = run({program("ashlarctl"), "info", made.string()});
  EXPECT_TRUE(succeeded(info));
  EXPECT_NE(info.output.find("granite"), std::string::npos) << info.output;
}

TEST_F(ToolRefusalTest, FsckOfABlankImageIsAnOperationalError) {
  const CommandResult result = expect_refused({program("fsck.ashlarfs"), "-n", "-f", image()}, {image()});
  EXPECT_EQ(result.exit_status, kOperationalError);
}

TEST_F(ToolRefusalTest, FsckOfAMountedVolumeIsAnOperationalError) {
  ASSERT_TRUE(succeeded(volume().format()));
  ASSERT_TRUE(succeeded(volume().mount(Engine::io_uring)));
  const CommandResult result = run({program("fsck.ashlarfs"), "-n", "-f", image()});
  EXPECT_TRUE(refused(result, {image(), "is mounted at " + volume().root().string()}));
  EXPECT_EQ(result.exit_status, kOperationalError);
}

TEST_F(ToolRefusalTest, FsckOfAMissingDeviceIsAnOperationalError) {
  const std::string nothing = (volume().outside() / "nothing.img").string();
  const CommandResult result = expect_refused({program("fsck.ashlarfs"), "-n", nothing}, {nothing});
  EXPECT_EQ(result.exit_status, kOperationalError);
}

TEST_F(ToolRefusalTest, FsckOfATruncatedImageDoesNotCallItClean) {
  ASSERT_TRUE(succeeded(volume().format()));
  fs::resize_file(image(), kSmallVolumeBytes / 2);
  const std::uint64_t before = digest_of(image());
  const CommandResult result = volume().check();
  EXPECT_NE(result.exit_status, 0);
  EXPECT_LT(result.exit_status, 128) << result.errors;
  EXPECT_EQ(digest_of(image()), before);
}

TEST_F(ToolRefusalTest, AnUnknownArgumentIsAUsageError) {
  EXPECT_TRUE(refused(run({program("mkfs.ashlarfs"), "--nonsense", image()}), {"--nonsense"}));
  const CommandResult result = run({program("fsck.ashlarfs"), "--nonsense", image()});
  EXPECT_TRUE(refused(result, {"--nonsense"}));
  EXPECT_EQ(result.exit_status, kUsageError);
}

TEST_F(ToolRefusalTest, InfoOfABlankImage) { expect_refused({program("ashlarctl"), "info", image()}, {image()}); }

}  // namespace
}  // namespace ashlar::mount_test
