// mkfs.ashlarfs on loop devices: needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/mkfs/command.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::mkfs {
namespace {

using ashlar::testing::CommandResult;
using ashlar::testing::contents_of;
using ashlar::testing::has_command;
using ashlar::testing::run_command;
using ashlar::testing::Scratch;
using ::testing::HasSubstr;

CommandResult mkfs(const std::string& arguments) { return run_command(ASHLAR_MKFS " " + arguments); }

// A loop device that is gone after the test.
class LoopDevice {
 public:
  LoopDevice(const std::string& file, const std::string& options) {
    const CommandResult result = run_command("losetup --find --show " + options + " " + file);
    if (result.status == 0) path_ = result.output.substr(0, result.output.find('\n'));
    message_ = result.output;
  }
  ~LoopDevice() {
    if (!path_.empty()) run_command("losetup -d " + path_);
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  std::string path_;
  std::string message_;
};

class MkfsDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(scratch_.ready());
    image_ = scratch_.make_file("disk.img", 64U << 20);
    if (geteuid() != 0 || !has_command("losetup")) ASHLAR_SKIP("needs root and losetup");
  }

  Scratch scratch_;
  std::string image_;
};

TEST_F(MkfsDeviceTest, FormatsDevicesOfEitherSectorSize) {
  for (const char* sectors : {"--sector-size 512", "--sector-size 4096"}) {
    const LoopDevice loop(image_, sectors);
    if (loop.path().empty()) ASHLAR_SKIP(loop.message());
    const CommandResult result = mkfs("-f " + loop.path());
    ASSERT_EQ(result.status, 0) << result.output;
    EXPECT_THAT(result.output, HasSubstr("16384 blocks"));
    EXPECT_EQ(contents_of(loop.path(), 8200).substr(8192), "AshlarFS");
    const CommandResult again = mkfs(loop.path());
    EXPECT_EQ(again.status, 1);
    EXPECT_THAT(again.output, HasSubstr("holds an AshlarFS volume"));
  }
}

TEST_F(MkfsDeviceTest, RefusesAnImageBehindALoopDevice) {
  const LoopDevice loop(image_, "");
  if (loop.path().empty()) ASHLAR_SKIP(loop.message());
  const CommandResult result = mkfs("-f " + image_);
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.output, HasSubstr("is attached to " + loop.path()));
  EXPECT_EQ(contents_of(image_).find_first_not_of('\0'), std::string::npos);
}

TEST_F(MkfsDeviceTest, RefusesAMountedDeviceEvenByForce) {
  if (!has_command("mkfs.ext4")) ASHLAR_SKIP("needs mkfs.ext4");
  const LoopDevice loop(image_, "");
  if (loop.path().empty()) ASHLAR_SKIP(loop.message());
  ASSERT_EQ(run_command("mkfs.ext4 -q " + loop.path()).status, 0);
  const std::string point = scratch_.file("mnt");
  ASSERT_EQ(run_command("mkdir " + point).status, 0);
  const CommandResult mounted = run_command("mount " + loop.path() + " " + point);
  if (mounted.status != 0) ASHLAR_SKIP(mounted.output);
  const CommandResult result = mkfs("-f " + loop.path());
  EXPECT_EQ(run_command("umount " + point).status, 0);
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.output, HasSubstr(loop.path() + ": is mounted at " + point));
  EXPECT_EQ(run_command("e2fsck -fn " + loop.path()).status, 0);
}

}  // namespace
}  // namespace ashlar::mkfs
