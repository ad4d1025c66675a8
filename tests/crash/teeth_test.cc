// The crash tests notice mistakes: each of the classic ones, put into a build of the filesystem one at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "fs/base/log.h"
#include "fs/base/seeded_bug.h"
#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/recording.h"

namespace ashlar::crash_test {
namespace {

constexpr std::size_t kVariants = 5;
constexpr unsigned kSeeds = 3;

struct Seeded {
  SeededBug bug;
  std::string name;
  std::string first_workload = "name_storm";  // to try
};

class ActiveBug {
 public:
  explicit ActiveBug(SeededBug bug) { active_bug() = bug; }
  ~ActiveBug() { active_bug() = SeededBug::none; }
  ActiveBug(const ActiveBug&) = delete;
  ActiveBug& operator=(const ActiveBug&) = delete;
};

// What the suite has to say about a workload; nullopt: nothing.
std::optional<std::string> complaint(const Workload& workload, std::uint64_t seed) {
  const Recording recording(workload, seed);
  if (!recording.problem().empty()) return "without a crash: " + recording.problem();
  Checker checker;
  if (auto wrong = checker.check_run(recording.device, recording.session.history(), seed, kVariants)) return wrong;
  const std::size_t half = recording.device.event_count() / 2;
  return checker.check_recovery(recording.device.after_power_cut(half), seed, 1, 1);
}

class TeethTest : public ::testing::TestWithParam<Seeded> {};

TEST_P(TeethTest, Caught) {
  const ActiveBug bug(GetParam().bug);
  unsigned caught = 0;
  std::string first;
  std::vector<Workload> order = workloads();
  std::stable_partition(order.begin(), order.end(),
                        [](const Workload& workload) { return workload.name == GetParam().first_workload; });
  for (const Workload& workload : order) {
    std::optional<std::string> wrong;
    for (std::uint64_t seed = 1; seed <= kSeeds && !wrong; ++seed) wrong = complaint(workload, seed);
    if (!wrong) continue;
    ++caught;
    if (first.empty()) first = workload.name + ": " + *wrong;
    if (scale() == 1) break;  // one is enough to know
  }
  EXPECT_GT(caught, 0U);
  std::cout << GetParam().name << ": caught by " << caught << " workloads; first by "
            << first.substr(0, first.find('\n')) << '\n';
}

std::vector<Seeded> seeded_bugs() {
  return {
      {SeededBug::checkpoint_not_flushed, "checkpoint_not_flushed"},
      {SeededBug::superblock_not_flushed, "superblock_not_flushed"},
      {SeededBug::superblock_before_nodes, "superblock_before_nodes"},
      {SeededBug::bitmap_in_place, "bitmap_in_place"},
      {SeededBug::freed_block_reused, "freed_block_reused", "overwrite"},
      {SeededBug::log_lap_overwritten, "log_lap_overwritten", "log_wraps"},
      {SeededBug::log_chunk_rewritten, "log_chunk_rewritten"},
      {SeededBug::log_write_not_durable, "log_write_not_durable"},
      {SeededBug::sync_without_write, "sync_without_write"},
      {SeededBug::log_checksum_unchecked, "log_checksum_unchecked"},
      {SeededBug::data_checksum_unchecked, "data_checksum_unchecked"},
      {SeededBug::recovery_repeats_epoch, "recovery_repeats_epoch"},
      {SeededBug::recovery_forgets_frees, "recovery_forgets_frees", "replace_by_rename"},
      {SeededBug::gathered_data_left_out, "gathered_data_left_out", "overwrite"},
      {SeededBug::data_flush_left_out, "data_flush_left_out", "without_copy_on_write"},
      {SeededBug::orphan_lost, "orphan_lost", "open_and_nameless"},
      {SeededBug::truncation_not_remembered, "truncation_not_remembered", "fragments"},
  };
}

INSTANTIATE_TEST_SUITE_P(Bugs, TeethTest, ::testing::ValuesIn(seeded_bugs()),
                         [](const ::testing::TestParamInfo<Seeded>& seeded) { return seeded.param.name; });

// The other tests show the same of the layers as they are; this is about their build with has_bug() in it. Under a
// sanitizer a few of the workloads, which are most of the time, do.
TEST(TeethControlTest, WithoutABugNothingIsCaught) {
  constexpr std::size_t kStride = kSanitized ? 7 : 1;
  for (std::size_t i = 0; i < workloads().size(); i += kStride) {
    const Workload& workload = workloads()[i];
    const auto wrong = complaint(workload, 1);
    EXPECT_FALSE(wrong) << workload.name << ": " << *wrong;
  }
}

}  // namespace
}  // namespace ashlar::crash_test
