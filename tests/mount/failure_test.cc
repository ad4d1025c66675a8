// A mount whose device fails, and one that io_uring is refused: what happens, and that the reason can be read.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/blockio/seccomp.h"
#include "tests/mount/foreground_daemon.h"
#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kPanicStatus = 3;

bool write_and_sync(const std::filesystem::path& path, const std::string& text) {
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const bool synced = written && fsync(fd) == 0;
  close(fd);
  return synced;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class FailingMount : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
  }

  [[nodiscard]] std::unique_ptr<ForegroundDaemon> start(const std::string& options,
                                                        const std::function<void()>& prepare = {}) {
    return std::make_unique<ForegroundDaemon>(options, volume_->device().path(), volume_->root(),
                                              volume_->outside() / "log", prepare);
  }
  // Of the mounted volume, as `ashlarctl stat --json` has it.
  [[nodiscard]] nlohmann::json stat() {
    const CommandResult result = run({program("ashlarctl"), "stat", "--json", volume_->root().string()});
    EXPECT_TRUE(succeeded(result));
    return nlohmann::json::parse(result.output, nullptr, false);
  }

  // Of the device, as `ashlarctl info --json` has it.
  [[nodiscard]] nlohmann::json info() {
    const CommandResult result = run({program("ashlarctl"), "info", "--json", volume_->device().path()});
    EXPECT_TRUE(succeeded(result));
    return nlohmann::json::parse(result.output, nullptr, false);
  }

  std::unique_ptr<MountedVolume> volume_;
};

INSTANTIATE_TEST_SUITE_P(Engines, FailingMount, ::testing::Values("io_uring", "aio"));

TEST_P(FailingMount, TurnsReadOnlyAndTellsWhy) {
  for (const std::string policy : {"remount-ro", "continue"}) {
    SCOPED_TRACE(policy);
    const auto daemon = start("commit=3600,io_engine=" + GetParam() + ",errors=" + policy);
    ASSERT_TRUE(daemon->wait_until_mounted()) << daemon->said();
    EXPECT_EQ(stat()["state"], "read-write");
    EXPECT_EQ(stat()["errors_policy"], policy);
    const std::filesystem::path kept = volume_->root() / policy;
    ASSERT_TRUE(write_and_sync(kept, "acknowledged"));
    daemon->forbid_writing(true);
    EXPECT_FALSE(write_and_sync(volume_->root() / "lost", "not acknowledged"));
    // The device works again, but what failed stays failed.
    daemon->forbid_writing(false);
    EXPECT_FALSE(write_and_sync(volume_->root() / "late", "too late"));
    EXPECT_EQ(contents(kept), "acknowledged");
    const nlohmann::json status = stat();
    EXPECT_EQ(status["state"], "stopped");
    EXPECT_EQ(status["read_only"], true);
    EXPECT_THAT(status["failure"].get<std::string>(), HasSubstr("log"));
    const CommandResult shown = run({program("ashlarctl"), "stat", volume_->root().string()});
    EXPECT_THAT(shown.output, HasSubstr("read-only since a failure: " + status["failure"].get<std::string>()));
    ASSERT_TRUE(succeeded(run({"umount", volume_->root().string()})));
    EXPECT_EQ(daemon->wait_until_ended(), 1) << daemon->said();
  }
  // What was acknowledged is there, and nothing is wrong.
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  EXPECT_EQ(contents(volume_->root() / "remount-ro"), "acknowledged");
  EXPECT_EQ(contents(volume_->root() / "continue"), "acknowledged");
  EXPECT_EQ(stat()["state"], "read-write");
  ASSERT_TRUE(succeeded(volume_->unmount()));
}

// The log can no longer be written, the superblocks before it can: when and why stays until fsck has looked.
TEST_P(FailingMount, TheReasonStaysInTheSuperblock) {
  const nlohmann::json log = info()["log"];
  const std::uint64_t log_at = log["first_block"].get<std::uint64_t>() * info()["block_size"].get<std::uint64_t>();
  ASSERT_GT(log_at, 12'288U);
  EXPECT_EQ(info()["failures"]["count"], 0);
  const auto began = std::time(nullptr);
  nlohmann::json first;
  for (unsigned stop = 1; stop <= 2; ++stop) {
    SCOPED_TRACE(stop);
    const auto daemon = start("commit=3600,io_engine=" + GetParam());
    ASSERT_TRUE(daemon->wait_until_mounted()) << daemon->said();
    if (stop == 2) {
      EXPECT_THAT(daemon->said(), HasSubstr("stopped: " + first["reason"].get<std::string>()));
    }
    daemon->forbid_writing(true, log_at);
    EXPECT_FALSE(write_and_sync(volume_->root() / "lost", "not acknowledged"));
    const std::string why = stat()["failure"];
    ASSERT_TRUE(succeeded(run({"umount", volume_->root().string()})));
    EXPECT_EQ(daemon->wait_until_ended(), 1) << daemon->said();
    const nlohmann::json failures = info()["failures"];
    EXPECT_EQ(failures["count"], stop);
    EXPECT_EQ(failures["last"]["reason"], why);
    EXPECT_GE(failures["last"]["time"], began);
    EXPECT_LE(failures["last"]["time"], std::time(nullptr));
    if (stop == 1) first = failures["last"];
    EXPECT_EQ(failures["first"], first);
  }
  // A mount goes on, and forgets nothing.
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  ASSERT_TRUE(succeeded(volume_->unmount()));
  EXPECT_EQ(info()["failures"]["count"], 2);
  const CommandResult shown = run({program("ashlarctl"), "info", volume_->device().path()});
  EXPECT_THAT(shown.output, HasSubstr("UTC: " + first["reason"].get<std::string>() + "\n"));
  EXPECT_EQ(run({program("fsck.ashlarfs"), "-p", volume_->device().path()}).exit_status, 0);
  EXPECT_EQ(info()["failures"]["count"], 0);
  EXPECT_EQ(info()["has_errors"], false);
}

TEST_P(FailingMount, PanicEndsTheDaemonAtOnce) {
  {
    const auto daemon = start("commit=3600,errors=panic,io_engine=" + GetParam());
    ASSERT_TRUE(daemon->wait_until_mounted()) << daemon->said();
    ASSERT_TRUE(write_and_sync(volume_->root() / "kept", "acknowledged"));
    daemon->forbid_writing(true);
    EXPECT_FALSE(write_and_sync(volume_->root() / "lost", "not acknowledged"));
    EXPECT_EQ(daemon->wait_until_ended(), kPanicStatus) << daemon->said();
    EXPECT_EQ(access(volume_->root().c_str(), F_OK), -1);
    EXPECT_EQ(errno, ENOTCONN);
    const CommandResult shown = run({program("ashlarctl"), "stat", volume_->device().path()});
    EXPECT_EQ(shown.exit_status, 1);
    EXPECT_THAT(shown.errors, HasSubstr("daemon has died"));
  }
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  EXPECT_EQ(contents(volume_->root() / "kept"), "acknowledged");
  ASSERT_TRUE(succeeded(volume_->unmount()));
}

// As container runtimes do. For good, so only in a child.
void refuse_io_uring() {
  if (!ashlar::testing::refuse(SYS_io_uring_setup, EPERM)) _exit(126);
}

using RefusedIoUring = FailingMount;
INSTANTIATE_TEST_SUITE_P(Auto, RefusedIoUring, ::testing::Values("auto"));

TEST_P(RefusedIoUring, AutoMountsWithAioAndSaysWhyInOneLine) {
  const auto daemon = start("io_engine=auto", refuse_io_uring);
  ASSERT_TRUE(daemon->wait_until_mounted()) << daemon->said();
  EXPECT_TRUE(write_and_sync(volume_->root() / "file", "through AIO"));
  const nlohmann::json engine = stat()["io_engine"];
  EXPECT_EQ(engine["name"], "aio");
  const std::string why = engine["reason"];
  EXPECT_THAT(why, HasSubstr("io_uring cannot be used: io_uring_setup: "));
  EXPECT_THAT(why, HasSubstr("seccomp"));
  EXPECT_THAT(why, Not(HasSubstr("\n")));
  ASSERT_TRUE(succeeded(run({"umount", volume_->root().string()})));
  EXPECT_EQ(daemon->wait_until_ended(), 0) << daemon->said();
  EXPECT_THAT(daemon->said(), HasSubstr(why));  // which may come after the first answers
}

TEST_P(RefusedIoUring, AskingForItFailsWithThatReason) {
  const auto daemon = start("io_engine=io_uring", refuse_io_uring);
  EXPECT_FALSE(daemon->wait_until_mounted());
  EXPECT_EQ(daemon->wait_until_ended(), 1);
  EXPECT_THAT(daemon->said(), HasSubstr(volume_->device().path()));
  EXPECT_THAT(daemon->said(), HasSubstr("io_uring_setup"));
  EXPECT_THAT(daemon->said(), HasSubstr("seccomp"));
}

}  // namespace
}  // namespace ashlar::mount_test
