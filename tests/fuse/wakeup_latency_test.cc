// When processors are kept awake: the decision by itself, and what the kernel's file is told.
#include "fs/daemon/wakeup_latency.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

namespace ashlar::daemon {
namespace {

using namespace std::chrono_literals;

TEST(BusyDetector, IsBusyFromTheFirstManySleeps) {
  BusyDetector detector;
  EXPECT_FALSE(detector.sample(0, 10ms));
  EXPECT_FALSE(detector.sample(19, 10ms));
  EXPECT_TRUE(detector.sample(20, 10ms));
  EXPECT_TRUE(detector.sample(10, 10ms)) << "fewer, but not few";
}

TEST(BusyDetector, StaysBusyThroughAShortPause) {
  BusyDetector detector;
  EXPECT_TRUE(detector.sample(1000, 10ms));
  for (int quiet = 0; quiet < 4; ++quiet) EXPECT_TRUE(detector.sample(5, 10ms));
  EXPECT_TRUE(detector.sample(6, 10ms));
  for (int quiet = 0; quiet < 4; ++quiet) EXPECT_TRUE(detector.sample(0, 10ms));
  EXPECT_FALSE(detector.sample(0, 10ms));
  EXPECT_FALSE(detector.sample(6, 10ms)) << "more, but not many";
  EXPECT_TRUE(detector.sample(20, 10ms));
}

TEST(BusyDetector, LooksSeldomWhenNothingHappens) {
  BusyDetector detector;
  const auto often = detector.interval();
  for (int quiet = 0; quiet < 99; ++quiet) detector.sample(0, 10ms);
  EXPECT_EQ(detector.interval(), often);
  detector.sample(0, 10ms);
  EXPECT_GT(detector.interval(), often);
  detector.sample(2, 1ms);
  EXPECT_EQ(detector.interval(), often);
}

// A file in the place of the kernel's.
class ControlFile {
 public:
  ControlFile() { static_cast<void>(!mkdtemp(folder_)); }
  ~ControlFile() {
    unlink(path().c_str());
    rmdir(folder_);
  }
  ControlFile(const ControlFile&) = delete;
  ControlFile& operator=(const ControlFile&) = delete;

  [[nodiscard]] std::string path() const { return std::string(folder_) + "/control"; }
  void make() const { const std::ofstream made(path()); }
  [[nodiscard]] std::optional<std::int32_t> limit() const {
    std::ifstream file(path(), std::ios::binary);
    std::int32_t microseconds = 0;
    if (!file.read(reinterpret_cast<char*>(&microseconds), sizeof microseconds)) return std::nullopt;
    return microseconds;
  }
  // False after a minute, in which it never was.
  [[nodiscard]] bool becomes(std::int32_t microseconds) const {
    const auto deadline = std::chrono::steady_clock::now() + 1min;
    while (limit() != microseconds) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }

 private:
  char folder_[32] = "/tmp/ashlar-latency-XXXXXX";
};

constexpr std::int32_t kNoLimit = 2'000'000'000;

TEST(WakeupLatency, IsLimitedWhileTheDaemonIsBusy) {
  const ControlFile file;
  file.make();
  std::atomic<std::uint64_t> sleeps{0};
  std::atomic<std::uint64_t> each_look{0};
  const auto latency = WakeupLatency::start(file.path(), [&] { return sleeps += each_look; });
  ASSERT_TRUE(latency) << latency.error().message();
  EXPECT_EQ(file.limit(), kNoLimit);
  each_look = 1'000'000;
  EXPECT_TRUE(file.becomes(0));
  each_look = 0;
  EXPECT_TRUE(file.becomes(kNoLimit));
}

TEST(WakeupLatency, IsUnlimitedAgainAtTheEnd) {
  const ControlFile file;
  file.make();
  std::atomic<std::uint64_t> sleeps{0};
  auto latency = WakeupLatency::start(file.path(), [&] { return sleeps += 1'000'000; });
  ASSERT_TRUE(latency) << latency.error().message();
  ASSERT_TRUE(file.becomes(0));
  latency->reset();
  EXPECT_EQ(file.limit(), kNoLimit);
}

TEST(WakeupLatency, SaysWhatItMayNotOpen) {
  const ControlFile file;
  const auto latency = WakeupLatency::start(file.path(), [] { return std::uint64_t{0}; });
  ASSERT_FALSE(latency);
  EXPECT_NE(latency.error().message().find(file.path()), std::string::npos) << latency.error().message();
}

TEST(WakeupLatency, CountsTheSleepsOfThisProcess) {
  const std::uint64_t before = sleeps_of_process();
  for (int i = 0; i < 5; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_GE(sleeps_of_process(), before + 5);
}

}  // namespace
}  // namespace ashlar::daemon
