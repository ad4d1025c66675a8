// A machine whose administrator switched io_uring off: kernel.io_uring_disabled=2. Runs alone, as it is for all.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "blockio/file_device.h"
#include "tests/mount/foreground_daemon.h"
#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSwitch = "/proc/sys/kernel/io_uring_disabled";

std::string read_switch() {
  std::ifstream file(kSwitch);
  std::string value;
  std::getline(file, value);
  return value;
}

bool write_switch(const std::string& value) {
  std::ofstream file(kSwitch);
  file << value << std::flush;
  return file.good();
}

// Switches io_uring off as long as it lives. A process of its own puts the switch back, so that this happens however
// the test ends.
class Disabled {
 public:
  Disabled() : before_(read_switch()) {
    int ends[2];
    if (before_.empty() || pipe2(ends, O_CLOEXEC) != 0) return;
    guard_ = fork();
    if (guard_ == 0) {
      setsid();
      ::close(ends[1]);
      char unused = 0;
      // Until the test lets go, or is gone.
      while (::read(ends[0], &unused, 1) > 0) {
      }
      _exit(write_switch(before_) ? 0 : 1);
    }
    ::close(ends[0]);
    hold_ = ends[1];
    done_ = guard_ > 0 && write_switch("2");
  }
  ~Disabled() {
    if (hold_ < 0) return;
    ::close(hold_);
    int status = 0;
    EXPECT_EQ(waitpid(guard_, &status, 0), guard_);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(read_switch(), before_);
  }
  Disabled(const Disabled&) = delete;
  Disabled& operator=(const Disabled&) = delete;

  [[nodiscard]] bool done() const { return done_; }

 private:
  std::string before_;
  pid_t guard_ = -1;
  int hold_ = -1;
  bool done_ = false;
};

class IoUringDisabled : public ::testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
  }
  [[nodiscard]] std::unique_ptr<ForegroundDaemon> start(const std::string& options) {
    return std::make_unique<ForegroundDaemon>(options, volume_->device().path(), volume_->root(),
                                              volume_->outside() / "log");
  }

  std::unique_ptr<MountedVolume> volume_;
};

// One test for all of it: io_uring is away from the machine for as short as can be.
TEST_F(IoUringDisabled, AutoTakesAioAndSaysWhyAndAskingForItFails) {
  std::string reason;
  {
    const auto device = blockio::open_device(volume_->device().path(), {});
    ASSERT_TRUE(device) << device.error().message();
    const Disabled disabled;
    ASSERT_TRUE(disabled.done());
    const Result<blockio::EngineSelection> chosen = (*device)->select_engine({});
    ASSERT_TRUE(chosen) << chosen.error().message();
    EXPECT_EQ(chosen->engine, blockio::EngineChoice::aio);
    reason = chosen->reason;
    blockio::QueueConfig config;
    config.engine = blockio::EngineChoice::io_uring;
    const auto queue = (*device)->open_queue(config);
    ASSERT_FALSE(queue);
    EXPECT_THAT(queue.error().message(), HasSubstr("kernel.io_uring_disabled"));
  }
  EXPECT_THAT(reason, HasSubstr("io_uring cannot be used: io_uring_setup: Operation not permitted"));
  EXPECT_THAT(reason, HasSubstr("kernel.io_uring_disabled"));

  const Disabled disabled;
  ASSERT_TRUE(disabled.done());
  {
    const auto daemon = start("io_engine=io_uring");
    EXPECT_FALSE(daemon->wait_until_mounted());
    EXPECT_EQ(daemon->wait_until_ended(), 1);
    EXPECT_THAT(daemon->said(), HasSubstr("kernel.io_uring_disabled"));
  }
  const auto daemon = start("io_engine=auto");
  ASSERT_TRUE(daemon->wait_until_mounted()) << daemon->said();
  const CommandResult told = run({program("ashlarctl"), "stat", "--json", volume_->root().string()});
  EXPECT_TRUE(succeeded(told));
  const nlohmann::json engine = nlohmann::json::parse(told.output, nullptr, false)["io_engine"];
  EXPECT_EQ(engine["name"], "aio");
  EXPECT_EQ(engine["reason"], reason);
  EXPECT_TRUE(succeeded(run({"umount", volume_->root().string()})));
  EXPECT_EQ(daemon->wait_until_ended(), 0) << daemon->said();
  EXPECT_THAT(daemon->said(), HasSubstr(reason));  // which may come after the first answers
}

}  // namespace
}  // namespace ashlar::mount_test
