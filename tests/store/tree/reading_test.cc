// Loading and evicting.
#include <gtest/gtest.h>

#include <utility>

#include "tests/store/tree/tree_harness.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kCache = 200 * 1024;

void fill_sparsely(TreeHarness& harness, std::uint64_t items) {
  for (std::uint64_t i = 1; i <= items; ++i) harness.put(key_of(i * 10), value_of(100, static_cast<std::uint8_t>(i)));
}

TEST(TreeReading, ReadsOneNodeALevel) {
  TreeHarness harness;
  fill_sparsely(harness, 2000);
  harness.checkpoint();
  harness.reopen();
  EXPECT_EQ(harness.tree().resident_bytes(), 0U);
  const std::size_t reads = harness.nodes().reads();
  harness.expect_get(key_of(10'000));
  EXPECT_EQ(harness.nodes().reads() - reads, harness.tree().height());
  harness.expect_get(key_of(10'000));
  EXPECT_EQ(harness.nodes().reads() - reads, harness.tree().height());
}

// The leaves of a scan come sixteen at a time; each is read once.
TEST(TreeReading, LeavesNearEachOtherAreReadTogether) {
  TreeHarness harness;
  fill_sparsely(harness, 2000);
  harness.checkpoint();
  harness.reopen();
  const std::size_t reads = harness.nodes().reads();
  harness.expect_scan(format::kLowestKey, format::kHighestKey);
  EXPECT_EQ(harness.nodes().reads() - reads, harness.tree().totals().nodes);
  EXPECT_LT(harness.nodes().batches, harness.tree().totals().nodes / 8);
  EXPECT_GT(harness.nodes().batches, 0U);
}

TEST(TreeReading, ALeafThatNobodyNeedsMayBeBad) {
  TreeHarness harness;
  fill_sparsely(harness, 2000);
  harness.checkpoint();
  harness.reopen();
  // Of a batch the first is the one that was missed.
  std::size_t read_ahead = 0;
  harness.expect_get(key_of(10));
  harness.nodes().before_read = [&]() -> Status {
    if (harness.nodes().batches == 0 || read_ahead++ == 0) return {};
    return fail(ErrorCode::bad_checksum, "spoiled");
  };
  harness.expect_get(key_of(300));
  EXPECT_GT(read_ahead, 1U);
  harness.nodes().before_read = {};
  harness.expect_equal();
}

// While a batch is under way another worker misses a leaf that it brings.
TEST(TreeReading, WhatSomebodyReadsAheadNobodyElseDoes) {
  TreeHarness harness;
  fill_sparsely(harness, 2000);
  harness.checkpoint();
  harness.reopen();
  harness.expect_get(key_of(10));
  const std::size_t before = harness.nodes().reads();
  bool missed_meanwhile = false;
  harness.nodes().before_read = [&]() -> Status {
    if (harness.nodes().batches == 1 && !std::exchange(missed_meanwhile, true)) harness.expect_get(key_of(200));
    return {};
  };
  harness.expect_get(key_of(300));
  harness.nodes().before_read = {};
  EXPECT_TRUE(missed_meanwhile);
  EXPECT_EQ(harness.nodes().batches, 1U);
  const std::size_t reads = harness.nodes().reads() - before;
  harness.expect_scan(key_of(10), key_of(300));
  EXPECT_EQ(harness.nodes().reads() - before, reads);
  EXPECT_LE(reads, 17U);  // the sixteen, and what the other one needed
  harness.expect_scan(format::kLowestKey, format::kHighestKey);
  EXPECT_GT(harness.nodes().batches, 1U);  // nothing stays claimed
}

// What a batch could not read of what is needed is read by itself, with whatever that takes.
TEST(TreeReading, ANeededLeafIsTriedAgainAlone) {
  TreeHarness harness;
  fill_sparsely(harness, 2000);
  harness.checkpoint();
  harness.reopen();
  harness.expect_get(key_of(10));
  std::size_t failures = 0;
  harness.nodes().before_read = [&]() -> Status {
    if (harness.nodes().batches == 0 || failures > 0) return {};
    ++failures;
    return fail(ErrorCode::bad_checksum, "spoiled");
  };
  harness.expect_get(key_of(300));
  EXPECT_EQ(failures, 1U);
}

TEST(TreeReading, ASmallCacheIsNotFilledAhead) {
  TreeHarness harness({1024, kCache});
  fill_sparsely(harness, 2000);
  harness.checkpoint();
  harness.reopen();
  harness.expect_scan(format::kLowestKey, format::kHighestKey);
  EXPECT_EQ(harness.nodes().batches, 0U);
}

TEST(TreeReading, FloorLooksIntoTheLeafBeforeOnlyWhenItMay) {
  TreeHarness harness;
  fill_sparsely(harness, 2000);
  harness.checkpoint();
  harness.reopen();
  for (std::uint64_t key = 5; key < 3000; key += 7) {
    harness.expect_floor(key_of(0), key_of(key));
    harness.expect_floor(key_of(key - 4), key_of(key));
    harness.expect_floor(key_of(key), key_of(key));
  }
  harness.expect_floor(key_of(0), format::kHighestKey);
  harness.expect_floor(key_of(500), key_of(200));
}

TEST(TreeReading, ScanStopsWhenTold) {
  TreeHarness harness;
  fill_sparsely(harness, 500);
  int visits = 0;
  ASSERT_TRUE(harness.tree().scan(harness.io(), format::kLowestKey, format::kHighestKey,
                                  [&](const format::Key&, std::span<const std::byte>) { return ++visits < 30; }));
  EXPECT_EQ(visits, 30);
}

TEST(TreeReading, TheCacheLimitHolds) {
  TreeHarness harness({.node_size = 1024, .cache_bytes = kCache});
  fill_sparsely(harness, 4000);
  harness.checkpoint();
  ASSERT_GT(harness.tree().totals().nodes * 1024, 2 * kCache);
  for (int i = 0; i < 10; ++i) harness.tree().evict();
  EXPECT_LE(harness.tree().resident_bytes(), kCache);
  // A few nodes come before as many have gone.
  std::size_t most = 0;
  for (std::uint64_t key = 1; key < 40'000; key += 13) {
    harness.expect_get(key_of(key));
    most = std::max(most, harness.tree().resident_bytes());
  }
  EXPECT_LE(most, kCache + 16 * 1024);
  harness.expect_equal();
}

TEST(TreeReading, WhatIsChargedToTheCacheIsTakenOffItsLimit) {
  constexpr std::size_t kLarge = 2 * kCache;  // a quarter of it holds more than the nodes that any cache keeps
  TreeHarness harness({.node_size = 1024, .cache_bytes = kLarge});
  fill_sparsely(harness, 8000);
  harness.checkpoint();
  const auto evicted = [&harness] {
    for (int i = 0; i < 10; ++i) harness.tree().evict();
    return harness.tree().resident_bytes();
  };
  EXPECT_GT(evicted(), kLarge / 2);
  harness.tree().charge(kLarge / 4);
  harness.tree().charge(kLarge / 4);
  EXPECT_LE(evicted(), kLarge / 2);
  EXPECT_GT(harness.tree().resident_bytes(), kLarge / 4);
  harness.tree().charge(100 * kLarge);
  EXPECT_LE(evicted(), kLarge / 4);
  EXPECT_GT(harness.tree().resident_bytes(), kLarge / 8) << "a quarter is never lent";
  harness.expect_equal();
}

TEST(TreeReading, WhatIsUsedStays) {
  TreeHarness harness({.node_size = 1024, .cache_bytes = kCache});
  fill_sparsely(harness, 4000);
  harness.checkpoint();
  harness.reopen();
  harness.expect_get(key_of(20'000));
  std::size_t reads_of_hot = 0;
  for (std::uint64_t key = 10; key <= 40'000; key += 10) {
    harness.expect_get(key_of(key));
    const std::size_t reads = harness.nodes().reads();
    harness.expect_get(key_of(20'000));
    reads_of_hot += harness.nodes().reads() - reads;
  }
  EXPECT_EQ(reads_of_hot, 0U);
}

TEST(TreeReading, DirtyNodesStay) {
  TreeHarness harness({.node_size = 1024, .cache_bytes = 1});
  fill_sparsely(harness, 1000);
  harness.tree().evict();
  const std::size_t reads = harness.nodes().reads();
  harness.expect_equal();
  EXPECT_EQ(harness.nodes().reads(), reads);
  EXPECT_GE(harness.tree().resident_bytes(), harness.tree().dirty_nodes() * 1024);
}

TEST(TreeReading, AReadThatFailsIsReportedAndTriedAgain) {
  TreeHarness harness;
  fill_sparsely(harness, 1000);
  harness.checkpoint();
  harness.reopen();
  harness.nodes().before_read = [] { return Status(fail(ErrorCode::io_error, "bad sector")); };
  ItemValue value;
  const auto found = harness.tree().get(harness.io(), key_of(10), value);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::io_error);
  RecordBuilder record;
  record.erase(key_of(10));
  const auto loaded = harness.tree().load(harness.io(), record.finish());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), ErrorCode::io_error);
  EXPECT_FALSE(harness.tree().apply(record.finish()));
  harness.nodes().before_read = nullptr;
  harness.expect_equal();
}

// A node is freed and its blocks are reused after a reader has seen the pointer and before it reads.
TEST(TreeReading, ANodeFreedMeanwhileIsNotAnError) {
  TreeHarness harness;
  fill_sparsely(harness, 1000);
  harness.checkpoint();
  harness.reopen();
  harness.nodes().freed_reads_are_misuse = false;
  int reads_until_change = harness.tree().height() - 1;
  harness.nodes().before_read = [&]() -> Status {
    if (reads_until_change-- != 0) return {};
    harness.put(key_of(5000), value_of(100, 0xee));
    harness.checkpoint();
    return {};
  };
  harness.expect_get(key_of(5000));
  EXPECT_LT(reads_until_change, 0);
}

TEST(TreeReading, NothingIsChangedUnlessAllCanBe) {
  TreeHarness harness;
  fill_sparsely(harness, 1000);
  harness.checkpoint();
  harness.reopen();
  harness.expect_get(key_of(10));
  RecordBuilder record;
  record.put(key_of(10), value_of(8, 9));
  record.put(key_of(9000), value_of(8, 9));
  EXPECT_FALSE(harness.tree().apply(record.finish()));
  EXPECT_EQ(harness.tree().dirty_nodes(), 0U);
  harness.expect_equal();
}

TEST(TreeReading, ErasingWhatIsNotThereChangesNothing) {
  TreeHarness harness;
  fill_sparsely(harness, 1000);
  harness.checkpoint();
  harness.erase(key_of(11));
  EXPECT_EQ(harness.tree().dirty_nodes(), 0U);
  harness.expect_equal();
}

TEST(TreeReading, ValuesOfEverySizeFit) {
  for (const std::uint32_t node_size : {1024U, 16384U, 65536U}) {
    SCOPED_TRACE(node_size);
    TreeHarness harness({.node_size = node_size});
    const std::size_t longest = format::max_value_size(node_size);
    for (std::size_t size = 0; size <= longest; size += 1 + longest / 300) {
      harness.put(key_of(size % 17, size), value_of(size, static_cast<std::uint8_t>(size)));
    }
    harness.put(key_of(3, longest), value_of(longest, 0xff));
    harness.checkpoint();
    harness.reopen();
    harness.expect_equal();
  }
}

}  // namespace
}  // namespace ashlar::store
