// commit=: what nobody syncs becomes durable by itself.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "blockio/recording_device.h"
#include "tests/crash/checker.h"
#include "tests/crash/session.h"

namespace ashlar::crash_test {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

Session::Options with_interval(std::chrono::milliseconds interval) {
  Session::Options options;
  options.volume.store.background = true;
  options.volume.store.commit_interval = interval;
  return options;
}

TEST(PeriodicCommitTest, MakesOperationsDurableWithoutASync) {
  blockio::RecordingDevice device(formatted({}));
  Session session(device, with_interval(20ms));
  ASSERT_TRUE(session.open());
  ASSERT_TRUE(session.create("f"));
  ASSERT_TRUE(session.write("f", 0, 20'000));
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  // Polled, for how long it takes is not what is tested.
  const auto log = [&session] { return session.volume().store().stats().log; };
  while (log().records != 0 && log().durable_writes == 0 && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(5ms);
  }
  const std::size_t events = device.event_count();
  EXPECT_TRUE(session.create("later"));
  while (device.event_count() == events && std::chrono::steady_clock::now() < limit) std::this_thread::sleep_for(5ms);
  session.crash();
  const blockio::MemoryImage image = device.after_power_cut(device.event_count());
  Checker checker;
  const Checker::Finding found = checker.examine(image, Care::used);
  EXPECT_EQ(found.problem, "");
  EXPECT_EQ(found.digest, session.history().moments.back().digest);
}

TEST(PeriodicCommitTest, LongIntervalsWriteNothingMeanwhile) {
  blockio::RecordingDevice device(formatted({}));
  Session session(device, with_interval(1h));
  ASSERT_TRUE(session.open());
  ASSERT_TRUE(session.create("f"));
  const std::size_t events = device.event_count();
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(device.event_count(), events);
}

}  // namespace
}  // namespace ashlar::crash_test
