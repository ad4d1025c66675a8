// Which parts of a file are found to be worth putting together.
#include "fs/volume/fragments.h"

#include <gtest/gtest.h>

#include <limits>

namespace ashlar::volume::testing {
namespace {

constexpr FragmentLimits kLimits{100, 1000};

MappedExtent extent(std::uint64_t file_block, std::uint64_t physical, std::uint32_t count) {
  return {file_block, BlockNumber{physical}, count, 0, {}, 0};
}

FragmentPlan plan(const std::vector<MappedExtent>& extents, std::uint64_t from = 0, bool truncated = false,
                  const FragmentLimits& limits = kLimits) {
  return plan_fragments(extents, truncated, from, limits);
}

TEST(Fragments, NothingIsToBeDoneForNothingOrOneRun) {
  for (const auto& extents :
       {std::vector<MappedExtent>{}, {extent(0, 500, 3)}, {extent(0, 500, 3), extent(3, 503, 4)}}) {
    const FragmentPlan found = plan(extents);
    EXPECT_TRUE(found.ranges.empty());
    EXPECT_EQ(found.runs, extents.empty() ? 0U : 1U);
    EXPECT_TRUE(found.done);
  }
}

TEST(Fragments, AHoleDoesNotEndARun) {
  // Packed behind it, then with room left for it.
  EXPECT_EQ(plan({extent(0, 500, 3), extent(10, 503, 3), extent(15, 508, 1)}).runs, 1U);
  EXPECT_EQ(plan({extent(0, 500, 3), extent(10, 504, 3)}).runs, 2U);
}

TEST(Fragments, ShortRunsBetweenLongOnesAreOneRange) {
  const FragmentPlan found = plan({extent(0, 500, 100), extent(100, 900, 2), extent(102, 800, 3), extent(105, 700, 200),
                                   extent(305, 100, 1), extent(306, 200, 100)});
  EXPECT_EQ(found.runs, 6U);
  ASSERT_EQ(found.ranges.size(), 2U);
  EXPECT_EQ(found.ranges[0].runs.size(), 2U);
  EXPECT_EQ(found.ranges[0].goal, BlockNumber{600});
  EXPECT_EQ(found.ranges[0].follower, BlockNumber{700});
  // One that is alone may still join its neighbours.
  EXPECT_EQ(found.ranges[1].runs.size(), 1U);
  EXPECT_EQ(found.ranges[1].goal, BlockNumber{900});
  EXPECT_EQ(found.ranges[1].follower, BlockNumber{200});
}

TEST(Fragments, AStepEndsBetweenRuns) {
  std::vector<MappedExtent> extents;
  for (std::uint64_t i = 0; i < 40; ++i) extents.push_back(extent(i * 60, 100'000 - i * 100, 60));
  const FragmentPlan found = plan(extents);
  ASSERT_EQ(found.ranges.size(), 1U);
  EXPECT_EQ(found.ranges[0].runs.size(), 17U);
  EXPECT_EQ(found.ranges[0].follower, BlockNumber{0});
  EXPECT_EQ(found.next, 17U * 60);
  EXPECT_EQ(found.runs, 17U);
  EXPECT_FALSE(found.done);
  const FragmentPlan rest = plan(extents, found.next, false, {100, 100'000});
  EXPECT_EQ(rest.runs, 23U);
  EXPECT_EQ(rest.ranges[0].goal, extents[16].physical + 60);
  EXPECT_TRUE(rest.done);
}

TEST(Fragments, TheLastRunOfWhatIsKnownWaits) {
  const std::vector<MappedExtent> extents = {extent(0, 500, 3), extent(3, 900, 3), extent(6, 700, 3)};
  const FragmentPlan found = plan(extents, 0, true);
  EXPECT_EQ(found.next, 6U);
  EXPECT_EQ(found.runs, 2U);
  EXPECT_FALSE(found.done);
  // Unless there is no other: it goes on behind it.
  const FragmentPlan alone = plan({extents[2]}, 6, true);
  EXPECT_EQ(alone.next, 9U);
  EXPECT_FALSE(alone.done);
}

TEST(Fragments, TheRestOfARunIsNoRunOfItsOwn) {
  // In the middle of an extent, and behind one that goes on.
  for (const std::uint64_t from : {3U, 10U}) {
    const FragmentPlan found = plan({extent(0, 500, 10), extent(10, 510, 10), extent(20, 100, 1)}, from);
    EXPECT_EQ(found.runs, 1U);
    ASSERT_EQ(found.ranges.size(), 1U);
    EXPECT_EQ(found.ranges[0].runs.size(), 1U);
    EXPECT_EQ(found.ranges[0].goal, BlockNumber{520});
  }
}

TEST(Fragments, PastTheEndThereIsNothing) {
  for (const std::uint64_t from : {std::uint64_t{3}, std::numeric_limits<std::uint64_t>::max()}) {
    const FragmentPlan found = plan({extent(0, 500, 3)}, from);
    EXPECT_TRUE(found.done);
    EXPECT_EQ(found.next, from);
  }
}

}  // namespace
}  // namespace ashlar::volume::testing
