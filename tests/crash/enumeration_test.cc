// Power cuts at every write of every workload: what comes back is whole, and is the state after a prefix of the
// operations that holds all that was acknowledged.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/recording.h"

namespace ashlar::crash_test {
namespace {

class EnumerationTest : public ::testing::TestWithParam<Workload> {};

TEST_P(EnumerationTest, EveryStateIsAPrefix) {
  const std::uint64_t wanted = scaled(5500, 150);
  const std::uint64_t told_every = wanted / 20 + 10'000;  // a long run shows how far it is
  Checker checker;
  std::uint64_t events = 0;
  std::uint64_t told = 0;
  std::uint64_t seed = first_seed();
  // Every other seed's run leaves data in memory (Session::Options::look).
  for (; checker.tally().images < wanted || seed < first_seed() + 2; ++seed) {
    SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(seed));
    const Recording recording(GetParam(), seed);
    const blockio::RecordingDevice& device = recording.device;
    ASSERT_EQ(recording.problem(), "");
    ASSERT_GT(recording.session.history().moments.size(), 20U);
    events += device.event_count();
    const std::uint64_t variants = std::min<std::uint64_t>(wanted * 3 / 4 / device.event_count() + 1, 40);
    const std::optional<std::string> wrong = checker.check_run(device, recording.session.history(), seed, variants);
    ASSERT_FALSE(wrong) << *wrong;
    if (checker.tally().images >= told + told_every) {
      told = checker.tally().images;
      std::cout << GetParam().name << ", up to seed " << seed << ": " << text_of(checker.tally()) << std::endl;
    }
  }
  std::cout << GetParam().name << ": " << text_of(checker.tally()) << " (" << checker.distinct()
            << " of them different), " << events << " device operations, " << seed - first_seed() << " seeds\n";
}

INSTANTIATE_TEST_SUITE_P(Workloads, EnumerationTest, ::testing::ValuesIn(workloads()),
                         [](const ::testing::TestParamInfo<Workload>& workload) { return workload.param.name; });

}  // namespace
}  // namespace ashlar::crash_test
