// Mounting with standard streams that are closed, full, or read by nobody any more.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

class StreamsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
  }
  void TearDown() override {
    if (volume_ && is_mounted()) static_cast<void>(unmount());
  }

  [[nodiscard]] CommandResult shell(const std::string& command) const {
    return run({"bash", "-c", command, "bash", program("ashlarfs"), volume_->device().path(), root()});
  }
  [[nodiscard]] bool is_mounted() const { return run({"mountpoint", "-q", root()}).exit_status == 0; }
  [[nodiscard]] CommandResult unmount() const { return run({"umount", root()}); }
  [[nodiscard]] std::string root() const { return volume_->root().string(); }
  [[nodiscard]] const MountedVolume& volume() const { return *volume_; }

  // What is written arrives, and the volume is sound afterwards.
  void expect_works() const {
    ASSERT_TRUE(is_mounted());
    { std::ofstream(volume_->root() / "file") << "kept"; }
    EXPECT_TRUE(succeeded(unmount()));
    EXPECT_TRUE(succeeded(volume_->check(true)));
  }

 private:
  std::unique_ptr<MountedVolume> volume_;
};

TEST_F(StreamsTest, Closed) {
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"}) {
    EXPECT_TRUE(succeeded(shell(std::string("\"$1\" -v \"$2\" \"$3\" ") + closed))) << closed;
    expect_works();
    EXPECT_EQ(shell(std::string("\"$1\" \"$2\" \"$3/nowhere\" ") + closed).exit_status, 1) << closed;
  }
}

TEST_F(StreamsTest, Full) {
  const CommandResult mounted = shell(R"("$1" -v "$2" "$3" >/dev/full)");
  EXPECT_TRUE(succeeded(mounted)) << "it is mounted";
  EXPECT_EQ(mounted.errors, "ashlarfs: standard output: No space left on device\n");
  EXPECT_EQ(shell(R"("$1" "$2" "$3" >/dev/full 2>/dev/full)").exit_status, 1) << "it was mounted before";
  expect_works();
  EXPECT_EQ(shell(R"("$1" --help >/dev/full)").exit_status, 1);
}

TEST_F(StreamsTest, TheReaderOfTheLogGoesAway) {
  const CommandResult served = shell(R"(exec 2> >(exec true); wait $!
    "$1" -f "$2" "$3" &
    until mountpoint -q "$3"; do kill -0 $! || exit 99; sleep 0.02; done
    touch "$3/file" && umount "$3" && wait $!)");
  EXPECT_TRUE(succeeded(served));
  EXPECT_TRUE(succeeded(volume().check()));
}

}  // namespace
}  // namespace ashlar::mount_test
