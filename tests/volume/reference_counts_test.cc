// How often the kernel refers to inodes, against a map.
#include "fs/volume/reference_counts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <random>

namespace ashlar::volume::testing {
namespace {

TEST(ReferenceCounts, KnowsNothingThatWasNotAdded) {
  ReferenceCounts counts;
  EXPECT_EQ(counts.take(0), 0U);
  counts.drop(7, 1);
  EXPECT_EQ(counts.take(7), 0U);
  counts.add(7, 1);
  EXPECT_EQ(counts.take(6), 0U);
  EXPECT_EQ(counts.take(7 + (1ULL << 40)), 0U);
  EXPECT_EQ(counts.take(7), 1U);
  EXPECT_EQ(counts.take(7), 0U);
}

TEST(ReferenceCounts, HoldsWhatNoByteHolds) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t count : {std::uint64_t{254}, std::uint64_t{255}, std::uint64_t{256}, kMost}) {
    ReferenceCounts counts;
    counts.add(3, count);
    counts.add(4, 1);
    counts.drop(3, 1);
    EXPECT_EQ(counts.take(3), count - 1);
    EXPECT_EQ(counts.take(4), 1U);
  }
}

TEST(ReferenceCounts, AgreesWithAMap) {
  constexpr int kSteps = 200'000;
  std::mt19937_64 random(20);
  std::map<std::uint64_t, std::uint64_t> model;
  ReferenceCounts counts;
  for (int step = 0; step < kSteps; ++step) {
    const std::uint64_t number = random() % 8 == 0 ? random() : random() % 3000;
    const std::uint64_t count = 1 + (random() % 8 == 0 ? random() % 1000 : random() % 3);
    const auto held = model.find(number);
    if (held == model.end()) {
      counts.add(number, count);
      model[number] = count;
    } else if (random() % 2 == 0) {
      counts.drop(number, count);
      held->second -= std::min(held->second, count);
      if (held->second == 0) model.erase(held);
    } else {
      ASSERT_EQ(counts.take(number), held->second);
      model.erase(held);
    }
  }
  for (const auto& [number, count] : model) ASSERT_EQ(counts.take(number), count);
}

TEST(ReferenceCounts, TakesAFewBytesEachWhereNumbersAreClose) {
  constexpr std::uint64_t kMany = 100'000;
  constexpr std::uint64_t kBytesEach = 4;
  ReferenceCounts counts;
  for (std::uint64_t number = 0; number < kMany; ++number) counts.add(number, 1 + number % 2);
  EXPECT_LE(counts.bytes(), kMany * kBytesEach);
  counts.clear();
  EXPECT_EQ(counts.take(0), 0U);
}

TEST(ReferenceCounts, TellsOfWhatNoByteHolds) {
  constexpr std::uint64_t kMany = 10'000;
  ReferenceCounts small;
  ReferenceCounts large;
  for (std::uint64_t number = 0; number < kMany; ++number) {
    small.add(number, 1);
    large.add(number, 1000);
  }
  EXPECT_GE(large.bytes(), small.bytes() + kMany * 2 * sizeof(std::uint64_t));
}

}  // namespace
}  // namespace ashlar::volume::testing
