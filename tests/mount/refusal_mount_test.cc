// What ashlarfs must refuse to mount: in one clear line, changing nothing.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <utility>

#include "fs/format/superblock.h"
#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

void fill_with_noise(const fs::path& image, std::size_t bytes) {
  std::mt19937 random(1);
  std::fstream stream(image, std::ios::in | std::ios::out | std::ios::binary);
  for (std::size_t i = 0; i < bytes; i += sizeof(std::uint32_t)) {
    const auto word = static_cast<std::uint32_t>(random());
    stream.write(reinterpret_cast<const char*>(&word), sizeof word);
  }
}

// Changes every superblock of the image and gives it a right checksum again.
void change_superblocks(const fs::path& image, const std::function<void(format::Superblock&)>& change) {
  std::fstream stream(image, std::ios::in | std::ios::out | std::ios::binary);
  int changed = 0;
  for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      const auto offset = static_cast<std::streamoff>(format::superblock_offset(slot, copy));
      format::Superblock superblock{};
      stream.seekg(offset);
      stream.read(reinterpret_cast<char*>(&superblock), sizeof superblock);
      ASSERT_TRUE(stream.good());
      if (superblock.magic != format::kSuperblockMagic) continue;  // a slot not yet used
      change(superblock);
      format::seal(superblock);
      stream.seekp(offset);
      stream.write(reinterpret_cast<const char*>(&superblock), sizeof superblock);
      ++changed;
    }
  }
  ASSERT_GE(changed, 2) << "mkfs wrote fewer than both copies of one superblock";
}

class MountRefusalTest : public testing::Test {
 protected:
  void SetUp() override { ASHLAR_NEEDS_MOUNTING(false); }

  // Mounting `volume` is refused in a line that names the device and `mentions`; its image stays as it is.
  static void expect_refusal(MountedVolume& volume, const std::vector<std::string>& mentions = {},
                             const std::string& options = "") {
    std::vector<std::string> all = mentions;
    all.push_back(volume.device().path());
    const std::uint64_t before = digest_of(volume.device().image());
    EXPECT_TRUE(refused(volume.mount(Engine::io_uring, options), all));
    EXPECT_EQ(digest_of(volume.device().image()), before) << "the device was changed";
  }
};

TEST_F(MountRefusalTest, ABlankImageIsNotAVolume) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  expect_refusal(volume, {"not an AshlarFS volume"});
}

TEST_F(MountRefusalTest, NoiseIsNotAVolume) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  fill_with_noise(volume.device().image(), 1U << 20);
  expect_refusal(volume, {"not an AshlarFS volume"});
}

TEST_F(MountRefusalTest, AnotherFilesystemIsNotAVolume) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(run({"mkfs.ext4", "-q", volume.device().image()})));
  expect_refusal(volume, {"not an AshlarFS volume"});
}

TEST_F(MountRefusalTest, ATruncatedImage) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  fs::resize_file(volume.device().image(), kSmallVolumeBytes / 2);
  expect_refusal(volume);
}

TEST_F(MountRefusalTest, ADeviceTooSmallToHoldAVolume) {
  MountedVolume volume(DeviceKind::image, 64U << 10);
  expect_refusal(volume);
}

TEST_F(MountRefusalTest, AnEmptyImage) {
  MountedVolume volume(DeviceKind::image, 0);
  expect_refusal(volume);
}

TEST_F(MountRefusalTest, ANewerFormatVersion) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_NO_FATAL_FAILURE(change_superblocks(volume.device().image(),
                                             [](format::Superblock& s) { s.version = format::kFormatVersion + 1; }));
  expect_refusal(volume, {"newer"});
}

TEST_F(MountRefusalTest, AnUnknownIncompatibleFeature) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_NO_FATAL_FAILURE(
      change_superblocks(volume.device().image(), [](format::Superblock& s) { s.incompatible = 1ULL << 63; }));
  expect_refusal(volume, {"feature"});
  expect_refusal(volume, {"feature"}, "ro");
}

TEST_F(MountRefusalTest, AnUnknownReadOnlyCompatibleFeatureForbidsOnlyWriting) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_NO_FATAL_FAILURE(
      change_superblocks(volume.device().image(), [](format::Superblock& s) { s.read_only_compatible = 1ULL << 63; }));
  expect_refusal(volume, {"feature"});
  EXPECT_TRUE(succeeded(volume.mount(Engine::io_uring, "ro")));
}

TEST_F(MountRefusalTest, ADeviceThatIsMountedAlready) {
  MountedVolume volume(DeviceKind::image, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(Engine::io_uring)));
  { std::ofstream(volume.root() / "file") << "kept"; }
  const fs::path elsewhere = volume.outside() / "mnt";
  fs::create_directory(elsewhere);
  EXPECT_TRUE(
      refused(run({program("ashlarfs"), volume.device().path(), elsewhere.string()}), {volume.device().path()}));
  EXPECT_TRUE(fs::is_empty(elsewhere));
  EXPECT_TRUE(fs::exists(volume.root() / "file"));
  ASSERT_TRUE(succeeded(volume.unmount()));
  EXPECT_TRUE(succeeded(volume.check()));
}

TEST_F(MountRefusalTest, ABlockDeviceThatIsMountedAlready) {
  ASHLAR_NEEDS_MOUNTING(true);
  MountedVolume volume(DeviceKind::loop_512, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(Engine::aio)));
  const fs::path elsewhere = volume.outside() / "mnt";
  fs::create_directory(elsewhere);
  EXPECT_TRUE(
      refused(run({program("ashlarfs"), volume.device().path(), elsewhere.string()}), {volume.device().path()}));
  ASSERT_TRUE(succeeded(volume.unmount()));
  EXPECT_TRUE(succeeded(volume.check()));
}

// One volume by several names: its image, a loop device over it, and another one.
class OneVolumeTest : public MountRefusalTest {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(true);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::loop_512, kSmallVolumeBytes);
    elsewhere_ = (volume_->outside() / "mnt").string();
    fs::create_directory(elsewhere_);
    const CommandResult attached = run({"losetup", "--find", "--show", "--", image()});
    ASSERT_TRUE(succeeded(attached));
    second_ = attached.output.substr(0, attached.output.find('\n'));
    ASSERT_TRUE(succeeded(volume_->format()));
  }
  void TearDown() override {
    if (!second_.empty()) static_cast<void>(run({"losetup", "--detach", second_}));
  }

  // Nobody else mounts, repairs or makes a volume there while it is mounted by another name.
  void expect_in_use(const std::string& device) const {
    EXPECT_TRUE(refused(run({program("ashlarfs"), device, elsewhere_}), {device + ": in use"}));
    EXPECT_TRUE(refused(run({program("ashlarfs"), "-o", "ro", device, elsewhere_}), {device + ": in use"}));
    EXPECT_TRUE(refused(run({program("fsck.ashlarfs"), "-y", "-f", device}), {device, "unmount it first"}));
    EXPECT_TRUE(refused(run({program("mkfs.ashlarfs"), "-f", device}), {device}));
  }

  [[nodiscard]] MountedVolume& volume() const { return *volume_; }
  [[nodiscard]] const std::string& image() const { return volume_->device().image(); }
  [[nodiscard]] const std::string& second() const { return second_; }
  [[nodiscard]] const std::string& elsewhere() const { return elsewhere_; }

 private:
  std::unique_ptr<MountedVolume> volume_;
  std::string second_;
  std::string elsewhere_;
};

TEST_F(OneVolumeTest, MountedThroughALoopDevice) {
  ASSERT_TRUE(succeeded(volume().mount(Engine::io_uring)));
  { std::ofstream(volume().root() / "file") << "kept"; }
  expect_in_use(image());
  expect_in_use(second());
  ASSERT_TRUE(succeeded(volume().unmount()));
  EXPECT_TRUE(succeeded(volume().check()));
  ASSERT_TRUE(succeeded(volume().mount(Engine::io_uring)));
  EXPECT_TRUE(fs::exists(volume().root() / "file"));
}

TEST_F(OneVolumeTest, MountedByItsImage) {
  ASSERT_TRUE(succeeded(run({program("ashlarfs"), image(), elsewhere()})));
  EXPECT_TRUE(refused(volume().mount(Engine::io_uring), {volume().device().path() + ": in use"}));
  EXPECT_TRUE(refused(run({program("fsck.ashlarfs"), "-y", "-f", second()}), {"mounted at " + elsewhere()}));
  EXPECT_TRUE(refused(run({program("mkfs.ashlarfs"), "-f", second()}), {second() + ": in use"}));
  ASSERT_TRUE(succeeded(run({"umount", elsewhere()})));
  EXPECT_TRUE(succeeded(volume().check()));
}

// The rest is about a good volume and a bad request.
class MountRequestTest : public MountRefusalTest {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
  }

  // `argv` is refused in one line that mentions all of `mentions`, and the volume stays as it is.
  void expect_request_refused(const std::vector<std::string>& argv, const std::vector<std::string>& mentions) {
    const std::uint64_t before = digest_of(image());
    EXPECT_TRUE(refused(run(argv), mentions));
    EXPECT_EQ(digest_of(image()), before) << "the device was changed";
  }

  [[nodiscard]] const std::string& image() const { return volume_->device().image(); }
  [[nodiscard]] std::string mount_point() const { return volume_->root().string(); }
  [[nodiscard]] const fs::path& outside() const { return volume_->outside(); }

 private:
  std::unique_ptr<MountedVolume> volume_;
};

TEST_F(MountRequestTest, AMountPointThatDoesNotExist) {
  const std::string nowhere = (outside() / "nowhere").string();
  expect_request_refused({program("ashlarfs"), image(), nowhere}, {image(), nowhere});
}

TEST_F(MountRequestTest, AMountPointThatIsAFile) {
  const std::string file = (outside() / "file").string();
  { const std::ofstream created(file); }
  expect_request_refused({program("ashlarfs"), image(), file}, {image(), file});
}

TEST_F(MountRequestTest, ADeviceThatDoesNotExist) {
  const std::string nothing = (outside() / "nothing.img").string();
  expect_request_refused({program("ashlarfs"), nothing, mount_point()}, {nothing});
  EXPECT_FALSE(fs::exists(nothing));
}

TEST_F(MountRequestTest, AMachineWithoutFuse) {
  const std::string command =
      "mount -t tmpfs none /dev && exec '" + program("ashlarfs") + "' '" + image() + "' '" + mount_point() + "'";
  expect_request_refused({"unshare", "--mount", "--propagation", "private", "bash", "-euc", command},
                         {image(), mount_point(), "modprobe fuse"});
}

TEST_F(MountRequestTest, ADirectoryAsDevice) {
  expect_request_refused({program("ashlarfs"), outside().string(), mount_point()}, {outside().string()});
}

TEST_F(MountRequestTest, AnUnknownMountOption) {
  expect_request_refused({program("ashlarfs"), "-o", "nonsense=1", image(), mount_point()}, {"nonsense", image()});
}

TEST_F(MountRequestTest, AnUnknownEngine) {
  expect_request_refused({program("ashlarfs"), "-o", "io_engine=magic", image(), mount_point()}, {"magic", image()});
}

TEST_F(MountRequestTest, AnUnknownArgument) {
  expect_request_refused({program("ashlarfs"), "--nonsense", image(), mount_point()}, {"--nonsense"});
}

TEST_F(MountRequestTest, AUserWithoutPermission) {
  // A copy of the program where anyone can reach it, and a mount point of that user's own.
  fs::permissions(outside().parent_path(), fs::perms(0755));
  const fs::path reachable = outside() / "ashlarfs";
  fs::copy_file(program("ashlarfs"), reachable);
  fs::permissions(image(), fs::perms(0600));
  const fs::path own = outside() / "own";
  fs::create_directory(own);
  ASSERT_TRUE(succeeded(run({"chown", "65534:65534", own.string()})));
  expect_request_refused(
      {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", reachable.string(), image(), own.string()},
      {image(), "ermission"});
}

// Where a limit is met only when the volume is mounted and some workers run: the mount must not stay without a daemon.
void expect_refusal_without_threads(DeviceKind kind, const std::string& options) {
  MountedVolume volume(kind, kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  // Addresses for the stacks of some threads.
  const CommandResult result = run({"prlimit", "--stack=1073741824", "--as=8589934592", program("ashlarfs"), "-o",
                                    "threads=16," + options, volume.device().path(), volume.root().string()});
  EXPECT_TRUE(refused(result, {volume.device().path(), "no thread to be had"}));
  EXPECT_NE(run({"mountpoint", "-q", volume.root().string()}).exit_status, 0);
  static_cast<void>(run({"umount", "--lazy", volume.root().string()}));  // if it is one all the same
  EXPECT_TRUE(succeeded(volume.check()));
}

TEST_F(MountRequestTest, TooFewThreads) {
  ASHLAR_NEEDS_MOUNTING(true);
  expect_refusal_without_threads(DeviceKind::image, "fuse_transport=dev");
  expect_refusal_without_threads(DeviceKind::loop_512, "fuse_transport=dev");
}

TEST_F(MountRequestTest, TooFewThreadsForRings) {
  ASHLAR_NEEDS_MOUNTING(true);
  const RingSwitch rings;
  ASHLAR_NEEDS_RINGS(rings);
  expect_refusal_without_threads(DeviceKind::loop_512, "fuse_transport=io_uring");
}

// The daemon is in the background then, so it has to pass on what fusermount3 says.
TEST_F(MountRequestTest, AUserAtAMountPointOfOthers) {
  fs::permissions(outside().parent_path(), fs::perms(0755));
  const fs::path reachable = outside() / "ashlarfs";
  fs::copy_file(program("ashlarfs"), reachable);
  ASSERT_TRUE(succeeded(run({"chown", "65534:65534", image()})));
  const std::string devices =
      "mount -t tmpfs none /dev && mknod -m 666 /dev/fuse c 10 229 && mknod -m 666 /dev/null c 1 3";
  const std::string as_user = "exec setpriv --reuid=65534 --regid=65534 --clear-groups";
  const std::string command =
      devices + " && " + as_user + " '" + reachable.string() + "' '" + image() + "' '" + mount_point() + "'";
  // The volume was open already, so a mount more is counted.
  EXPECT_TRUE(refused(run({"unshare", "--mount", "--propagation", "private", "bash", "-euc", command}),
                      {image(), mount_point(), "no write access"}));
}

}  // namespace
}  // namespace ashlar::mount_test
