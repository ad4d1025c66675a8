// Power cuts while recovery is at work, and while the recovery after that is.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "blockio/faulty_device.h"
#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/recording.h"

namespace ashlar::crash_test {
namespace {

class RecoveryTest : public ::testing::TestWithParam<Workload> {};

TEST_P(RecoveryTest, EveryInterruptionEndsInTheSameState) {
  constexpr unsigned kCuts = kSanitized ? 1 : 3;
  constexpr std::size_t kVariants = kSanitized ? 1 : 2;
  const std::uint64_t seeds = scaled(2, 1);
  Checker checker;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds; ++seed) {
    SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(seed));
    const Recording recording(GetParam(), seed);
    ASSERT_EQ(recording.problem(), "");
    std::mt19937_64 random(seed);
    const std::size_t events = recording.device.event_count();
    for (unsigned cut = 0; cut < kCuts; ++cut) {
      const std::size_t at = cut == 0 ? events : random() % events;
      const auto wrong = checker.check_recovery(recording.device.after_power_cut(at, &random), seed, kVariants, 1);
      ASSERT_FALSE(wrong) << "cut at " << at << ": " << *wrong;
    }
  }
  std::cout << GetParam().name << ": " << text_of(checker.tally()) << '\n';
}

// A device that fails while recovery is at work: the mount fails or is right, and the next one is.
TEST_P(RecoveryTest, ErrorsOnTheWayLoseNothing) {
  const Recording recording(GetParam(), first_seed());
  ASSERT_EQ(recording.problem(), "");
  Checker checker;
  const blockio::MemoryImage image = recording.device.after_power_cut(recording.device.event_count());
  const Checker::Finding expected = checker.examine(image, Care::mounted);
  ASSERT_EQ(expected.problem, "");
  std::uint64_t operations = 1;
  for (std::uint64_t index = 0; index < operations; index += kSanitized ? 5 : 1) {
    SCOPED_TRACE("device operation " + std::to_string(index));
    blockio::MemoryDevice memory(image);
    blockio::FaultyDevice faulty(memory);
    const auto io = faulty.open_queue({});
    faulty.set_plan(index % 2 == 0 ? blockio::fail_once(index) : blockio::fail_from(index));
    const auto opened = volume::Volume::open(faulty, **io, quiet_options());
    operations = std::max(operations, faulty.operations());
    const Checker::Finding found = checker.examine(memory.snapshot(), Care::used);
    ASSERT_EQ(found.problem, "");
    ASSERT_EQ(found.digest, expected.digest) << difference(expected.view, found.view);
  }
}

INSTANTIATE_TEST_SUITE_P(Workloads, RecoveryTest, ::testing::ValuesIn(workloads()),
                         [](const ::testing::TestParamInfo<Workload>& workload) { return workload.param.name; });

}  // namespace
}  // namespace ashlar::crash_test
