#include "tests/mount/mounted_volume.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace ashlar::mount_test {
namespace {

constexpr const char* kRingSwitch = "/sys/module/fuse/parameters/enable_uring";
// For all who test on this machine, until it boots anew and the switch is off anyway.
constexpr const char* kRingSwitchUsers = "/run/ashlar-test-ring-switch";
constexpr std::chrono::seconds kSettleLimit{60};
constexpr std::chrono::milliseconds kSettleStep{100};

std::filesystem::path made_directory(const std::filesystem::path& path) {
  std::filesystem::create_directory(path);
  return path;
}

// Asks for a checkpoint: what was freed becomes free with it.
void sync_volume(const std::filesystem::path& root) {
  const int fd = open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  syncfs(fd);
  close(fd);
}

}  // namespace

std::string_view name_of(Engine engine) { return engine == Engine::io_uring ? "io_uring" : "aio"; }

Engine other(Engine engine) { return engine == Engine::io_uring ? Engine::aio : Engine::io_uring; }

MountedVolume::MountedVolume(DeviceKind kind, std::uint64_t bytes)
    : mount_point_(made_directory(temp_.path() / "mnt")),
      outside_(made_directory(temp_.path() / "outside")),
      device_(temp_.path(), kind, bytes) {}

MountedVolume::~MountedVolume() {
  if (!mounted_ || unmount().exit_status == 0) return;
  // A test that failed may have left it busy; the device must not stay mounted.
  static_cast<void>(run({"umount", "--lazy", mount_point_.string()}));
}

CommandResult MountedVolume::format() const { return run({program("mkfs.ashlarfs"), "-q", device_.path()}); }

CommandResult MountedVolume::mount(Engine engine, const std::string& more_options) {
  std::string options = "io_engine=" + std::string(name_of(engine));
  for (const std::string& more : {mount_options_, more_options}) {
    if (!more.empty()) options += "," + more;
  }
  CommandResult result = run({program("ashlarfs"), "-o", options, device_.path(), mount_point_.string()});
  mounted_ = mounted_ || result.exit_status == 0;
  return result;
}

CommandResult MountedVolume::unmount() {
  CommandResult result = run({"umount", mount_point_.string()});
  mounted_ = mounted_ && result.exit_status != 0;
  return result;
}

CommandResult MountedVolume::check(bool data) const {
  std::vector<std::string> command = {program("fsck.ashlarfs"), "-n", "-f"};
  if (data) command.emplace_back("--data");
  command.push_back(device_.path());
  return run(command);
}

std::uint64_t MountedVolume::free_blocks() const {
  struct statvfs space {};
  EXPECT_EQ(statvfs(mount_point_.c_str(), &space), 0);
  return space.f_bfree;
}

std::uint64_t MountedVolume::settled_free_blocks(std::uint64_t expected) const {
  const auto limit = std::chrono::steady_clock::now() + kSettleLimit;
  for (;;) {
    sync_volume(mount_point_);
    const std::uint64_t free = free_blocks();
    if (free == expected || std::chrono::steady_clock::now() >= limit) return free;
    std::this_thread::sleep_for(kSettleStep);
  }
}

RingSwitch::RingSwitch() : MachineSetting(kRingSwitch, kRingSwitchUsers) {}

void EverySetupTest::SetUp() {
  ASHLAR_NEEDS_MOUNTING(GetParam().device != DeviceKind::image);
  volume_ = std::make_unique<MountedVolume>(GetParam().device, volume_bytes());
  ASSERT_TRUE(succeeded(volume_->format()));
  if (GetParam().through_rings) {
    ASHLAR_NEEDS_RINGS(rings_.emplace());
    volume_->set_mount_options("fuse_transport=io_uring");
  }
  ASSERT_TRUE(succeeded(volume_->mount(GetParam().engine)));
}

void EverySetupTest::TearDown() { volume_.reset(); }

void EverySetupTest::remount(Engine engine) {
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  ASSERT_TRUE(succeeded(volume_->mount(engine)));
}

std::string setup_name(const testing::TestParamInfo<Setup>& info) {
  return std::string(name_of(info.param.engine)) + "_" + std::string(name_of(info.param.device));
}

}  // namespace ashlar::mount_test
