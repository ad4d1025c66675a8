// How many nodes a tree has: full ones when appended to, none too many after erasing.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/store/tree/tree_harness.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kValueSize = 40;
constexpr std::size_t kItemsPerLeaf =
    (kSmallNode - sizeof(format::NodeHeader)) / (sizeof(format::LeafItem) + kValueSize);

std::vector<std::uint64_t> shuffled(std::uint64_t count, std::uint32_t seed) {
  std::vector<std::uint64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 1);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(seed));
  return numbers;
}

TEST(TreeBalance, AppendingFillsLeaves) {
  TreeHarness harness;
  constexpr std::size_t kLeaves = 300;
  for (std::uint64_t i = 1; i <= kLeaves * kItemsPerLeaf; ++i) harness.put(key_of(i), value_of(kValueSize, 1));
  const std::size_t inner = kLeaves / format::max_internal_entries(kSmallNode);
  EXPECT_LE(harness.tree().totals().nodes, kLeaves + inner + inner / 10 + 2);
  harness.checkpoint();
}

TEST(TreeBalance, AppendingInTheMiddleFillsLeaves) {
  // A file grows block by block while others, after it in the tree, lie still.
  TreeHarness harness;
  for (std::uint64_t i = 100; i < 400; ++i) harness.put(key_of(i), value_of(kValueSize, 1));
  const std::uint64_t before = harness.tree().totals().nodes;
  constexpr std::size_t kLeaves = 100;
  for (std::uint64_t i = 0; i < kLeaves * kItemsPerLeaf; ++i) {
    harness.put(key_of(200, i, format::ItemKind::extent), value_of(kValueSize, 1));
  }
  const std::size_t inner = kLeaves / format::max_internal_entries(kSmallNode);
  EXPECT_LE(harness.tree().totals().nodes, before + kLeaves + 2 * inner + 4);
  harness.checkpoint();
}

TEST(TreeBalance, RandomInsertionKeepsLeavesHalfFull) {
  TreeHarness harness;
  constexpr std::uint64_t kItems = 3000;
  for (const std::uint64_t i : shuffled(kItems, 5)) harness.put(key_of(i), value_of(kValueSize, 1));
  EXPECT_LE(harness.tree().totals().nodes, 2 * kItems / kItemsPerLeaf * 11 / 10 + 2);
  harness.checkpoint();
}

TEST(TreeBalance, ErasingAllLeavesOneLeaf) {
  for (const std::uint32_t seed : {11U, 12U, 13U}) {
    SCOPED_TRACE(seed);
    TreeHarness harness;
    for (const std::uint64_t i : shuffled(2000, seed)) harness.put(key_of(i), value_of(i % 200, 1));
    EXPECT_GE(harness.tree().height(), 3);
    for (const std::uint64_t i : shuffled(2000, seed + 100)) harness.erase(key_of(i));
    EXPECT_EQ(harness.tree().totals().nodes, 1U);
    EXPECT_EQ(harness.tree().height(), 1);
    harness.checkpoint();
  }
}

TEST(TreeBalance, ErasingWhatWasInsertedRestoresTheNodeCount) {
  // A volume with files to which a directory full of new ones is added and removed again, in another order.
  for (const std::uint32_t seed : {21U, 22U, 23U}) {
    SCOPED_TRACE(seed);
    TreeHarness harness({.node_size = kSmallNode, .cache_bytes = 40 * 1024});
    for (std::uint64_t i = 1; i <= 1000; ++i) harness.put(key_of(i), value_of(kValueSize, 1));
    harness.checkpoint();
    const std::uint64_t before = harness.tree().totals().nodes;
    for (const std::uint64_t i : shuffled(2000, seed)) harness.put(key_of(10'000 + i), value_of(kValueSize, 2));
    harness.checkpoint();
    for (const std::uint64_t i : shuffled(2000, seed + 100)) harness.erase(key_of(10'000 + i));
    EXPECT_EQ(harness.tree().totals().nodes, before);
    harness.checkpoint();
    EXPECT_EQ(harness.nodes().live_nodes(), before);
  }
}

TEST(TreeBalance, ShrinkingValuesMergeLeaves) {
  TreeHarness harness;
  const std::size_t longest = format::max_value_size(kSmallNode);
  for (std::uint64_t i = 1; i <= 400; ++i) harness.put(key_of(i), value_of(longest, 1));
  EXPECT_GE(harness.tree().totals().nodes, 100U);
  harness.checkpoint();
  for (const std::uint64_t i : shuffled(400, 31)) harness.put(key_of(i), {});
  constexpr std::size_t kEmptyPerLeaf = (kSmallNode - sizeof(format::NodeHeader)) / sizeof(format::LeafItem);
  EXPECT_LE(harness.tree().totals().nodes, 2 * (400 / kEmptyPerLeaf + 1) + 2);
  harness.checkpoint();
  for (const std::uint64_t i : shuffled(400, 32)) harness.put(key_of(i), value_of(longest, 2));
  harness.checkpoint();
  harness.expect_equal();
}

TEST(TreeBalance, OneRecordMayEmptyTheTreeAndFillItAgain) {
  TreeHarness harness({.node_size = kSmallNode, .cache_bytes = 1});
  for (std::uint64_t i = 1; i <= 1000; ++i) harness.put(key_of(i), value_of(kValueSize, 1));
  harness.checkpoint();
  harness.reopen();
  RecordBuilder record;
  TreeHarness::Changes changes;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    record.erase(key_of(i));
    changes.emplace_back(key_of(i), std::nullopt);
    if (i % 7 == 0) {
      // Into the range of what has just been removed.
      record.put(key_of(i - 3, 1), value_of(3, 3));
      changes.emplace_back(key_of(i - 3, 1), value_of(3, 3));
    }
  }
  harness.apply(record, changes);
  harness.expect_equal();
  harness.checkpoint();
}

}  // namespace
}  // namespace ashlar::store
