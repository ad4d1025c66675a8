// A volume that is made larger: whatever happens meanwhile, it has the old size or the new, and all that was in it.
#include <gtest/gtest.h>

#include <iostream>

#include "blockio/faulty_device.h"
#include "fs/store/superblock_io.h"
#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/crash_states.h"
#include "tests/crash/faults.h"
#include "tests/crash/recording.h"

namespace ashlar::crash_test {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;

struct Case {
  const char* name;
  Geometry geometry;
  std::uint64_t bytes;     // to which it grows
  std::uint64_t left = 0;  // blocks that are left before; 0: all of them
};

// With blocks of 512 bytes a group has 2 MiB, and a block of the group table tells of 14.
const Case kCases[] = {
    {"LongerLastGroup", {16 * kMiB, 4096, 4096}, 40 * kMiB},
    {"SecondGroup", {16 * kMiB, 4096, 4096}, 200 * kMiB},
    {"MoreGroups", {17 * kMiB, 512, 2048}, 25 * kMiB},
    {"LargerTable", {16 * kMiB, 512, 2048}, 40 * kMiB},
    {"LargerTableOfAFullVolume", {28 * kMiB, 512, 2048}, 32 * kMiB, 40},
    // What is gained has no room for it.
    {"LargerTableAmongFiles", {28 * kMiB, 512, 2048}, 28 * kMiB + (64U << 10) + 7 * 512},
};

void prepare(Session& s, std::uint64_t left) {
  s.mkdir("d");
  s.create("d/f");
  s.write("d/f", 0, 100'000);
  for (unsigned i = 0; i < 30; ++i) random_operation(s);
  if (left != 0) s.fill(left);
  s.sync_all();
  for (unsigned i = 0; i < 10; ++i) random_operation(s);
}

void go_on(Session& s) {
  for (unsigned i = 0; i < 15; ++i) random_operation(s);
  s.write("d/f", 50'000, 70'000);
  s.sync_all();
}

std::uint64_t size_of(const blockio::MemoryImage& image) {
  blockio::MemoryDevice device(image);
  const auto io = device.open_queue({});
  const auto superblock = store::read_superblock(device.geometry(), **io, true);
  EXPECT_TRUE(superblock) << superblock.error().message();
  return superblock ? superblock->block_count * superblock->block_size : 0;
}

class GrowingTest : public ::testing::TestWithParam<Case> {};

TEST_P(GrowingTest, AtEveryPowerCutItHasTheOldSizeOrTheNew) {
  const Case& param = GetParam();
  const Workload workload{param.name, param.geometry, [&](Session& s) { prepare(s, param.left); }, param.left != 0};
  Recording recording(workload, first_seed());
  ASSERT_EQ(recording.problem(), "");
  const std::size_t begin = recording.device.event_count();
  ASSERT_TRUE(recording.session.grow(param.bytes)) << recording.session.failures().back().first;
  const std::size_t end = recording.device.event_count();
  go_on(recording.session);
  ASSERT_EQ(recording.problem(), "");

  Checker checker;
  const auto wrong = checker.check_run(recording.device, recording.session.history(), first_seed(), scaled(12, 1));
  ASSERT_FALSE(wrong) << *wrong;

  std::uint64_t with_old = 0;
  std::uint64_t with_new = 0;
  CrashStates states(recording.device, first_seed());
  states.enumerate(
      scaled(12, 1), [](const CrashState&) { return true; },
      [&](const CrashState& state) {
        const std::uint64_t size = size_of(*state.image);
        const bool is_old = size == param.geometry.bytes;
        (is_old ? with_old : with_new) += 1;
        EXPECT_TRUE(is_old || size == param.bytes) << state.description << ": " << size;
        EXPECT_TRUE(is_old || state.events >= begin) << state.description;
        EXPECT_FALSE(is_old && state.events >= end) << state.description;
        return !HasFailure();
      });
  EXPECT_GT(with_old, 0U);
  EXPECT_GT(with_new, 0U);
  std::cout << text_of(checker.tally()) << "; " << end - begin << " device operations of growing; " << with_old
            << " states of the old size, " << with_new << " of the new\n";
}

// Each of its reads and writes in turn goes wrong.
TEST_P(GrowingTest, AtEveryErrorItHasTheOldSizeOrTheNew) {
  const Case& param = GetParam();
  const blockio::MemoryImage image = formatted(param.geometry);
  const auto run = [&](const blockio::FaultPlan& plan, std::uint64_t& operations) {
    blockio::MemoryDevice memory(image);
    blockio::FaultyDevice faulty(memory);
    Session session(faulty, fault_options(first_seed()));
    ASSERT_TRUE(session.open());
    prepare(session, param.left);
    faulty.set_plan(plan);
    const bool grown = session.grow(param.bytes);
    operations = faulty.operations();
    faulty.set_plan({});
    const std::uint64_t size = session.volume().store().layout().block_count() * param.geometry.block_size;
    EXPECT_TRUE(!grown || size == param.bytes) << size;
    const bool stopped = session.volume().store().read_only();
    if (!stopped) {
      // Whoever is refused may ask again.
      EXPECT_TRUE(grown || size == param.geometry.bytes);
      EXPECT_TRUE(session.grow(param.bytes));
      go_on(session);
      EXPECT_TRUE(session.close());
    } else {
      EXPECT_FALSE(session.sync_all());
    }
    session.crash();
    const std::uint64_t left = size_of(memory.snapshot());
    EXPECT_TRUE(left == param.bytes || (stopped && left == param.geometry.bytes)) << left;
    ASSERT_NO_FATAL_FAILURE(expect_promises(memory.snapshot(), session));
  };
  std::uint64_t operations = 0;
  ASSERT_NO_FATAL_FAILURE(run({}, operations));
  ASSERT_GT(operations, 8U);
  for (std::uint64_t index = 0; index < operations; index += kSanitized ? 5 : 1) {
    for (const bool once : {true, false}) {
      SCOPED_TRACE("operation " + std::to_string(index) + (once ? "" : " and all after it"));
      std::uint64_t ignored = 0;
      ASSERT_NO_FATAL_FAILURE(run(once ? blockio::fail_once(index) : blockio::fail_from(index), ignored));
      if (HasFailure()) return;
    }
  }
  std::cout << operations << " device operations of growing\n";
}

INSTANTIATE_TEST_SUITE_P(Cases, GrowingTest, ::testing::ValuesIn(kCases),
                         [](const ::testing::TestParamInfo<Case>& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace ashlar::crash_test
