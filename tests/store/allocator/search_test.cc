// Where blocks come from: goals, long runs, metadata apart from data, and the last block of a full volume.
#include <set>

#include "tests/store/allocator/allocator_fixture.h"

namespace ashlar::store {
namespace {

class AllocatorSearch : public AllocatorFixture {
 protected:
  // Takes everything there is; returns the runs.
  std::vector<BlockRun> take_all() {
    std::vector<BlockRun> runs;
    while (const auto run = allocate(1, 1U << 20)) runs.push_back(*run);
    EXPECT_EQ(allocator_->free_now(), 0U);
    return runs;
  }
};

TEST_F(AllocatorSearch, AFileGrowsInOnePiece) {
  make();
  BlockRun file = occupy(16, BlockNumber{9000});
  for (int i = 0; i < 50; ++i) {
    const BlockRun more = occupy(16, file.end());
    ASSERT_EQ(more.first, file.end());
    file.count += more.count;
  }
}

TEST_F(AllocatorSearch, AGoalThatIsTakenGetsSomethingNear) {
  make();
  const BlockRun first = occupy(16, BlockNumber{9000});
  const BlockRun second = occupy(16, first.first);
  EXPECT_GE(second.first, first.end());
  EXPECT_LT(second.first - first.end(), 64U);
}

TEST_F(AllocatorSearch, GoalsPastTheVolumeAreNoGoals) {
  make();
  EXPECT_TRUE(allocate(1, 1, BlockNumber{layout_->block_count()}).has_value());
  EXPECT_TRUE(allocate(1, 1, BlockNumber{~0ULL}).has_value());
}

TEST_F(AllocatorSearch, TwoStreamsSideBySideGetLongExtents) {
  make(VolumeShape{.bytes = 64U << 20, .block_size = 4096, .node_size = 16384});
  constexpr std::uint64_t kRequest = 256;
  BlockNumber ends[2];
  std::size_t pieces[2] = {0, 0};
  for (int i = 0; i < 20; ++i) {
    for (int stream = 0; stream < 2; ++stream) {
      const BlockRun run = occupy(kRequest, ends[stream]);
      if (run.first != ends[stream]) ++pieces[stream];
      ends[stream] = run.end();
    }
  }
  EXPECT_LE(pieces[0], 4U);
  EXPECT_LE(pieces[1], 4U);
}

// What trim() does: every free block is taken exactly once, nothing else is, and cancelling gives all of it back.
TEST_F(AllocatorSearch, AWalkTakesEveryFreeRunOnce) {
  make();
  std::set<std::uint64_t> occupied;
  for (int i = 0; i < 40; ++i) {
    const std::uint64_t count = 1 + random_() % 50;
    const BlockRun run = occupy(count, BlockNumber{random_() % layout_->block_count()});
    for (std::uint64_t block = 0; block < run.count; ++block) occupied.insert((run.first + block).value());
  }
  // A hole too small for the longer minima.
  const auto around = allocate(9, 9, BlockNumber{layout_->block_count() / 2});
  ASSERT_TRUE(around.has_value());
  allocator_->cancel(BlockRun{around->first + 3, 3});
  for (const std::uint64_t block : {0U, 1U, 2U, 6U, 7U, 8U}) occupied.insert((around->first + block).value());
  const std::uint64_t free = allocator_->free_now();
  for (const std::uint64_t minimum : {1U, 7U, 64U}) {
    constexpr std::uint64_t kMost = 100;
    std::uint64_t taken = 0;
    BlockNumber from{0};
    const BlockNumber end{layout_->block_count()};
    while (from < end) {
      const auto run = allocator_->take_free(*io_, BlockRun{from, end - from}, minimum, kMost);
      ASSERT_TRUE(run) << run.error().message();
      if (run->count == 0) break;
      EXPECT_GE(run->first, from);
      EXPECT_GE(run->count, minimum);
      EXPECT_LE(run->count, kMost);
      for (std::uint64_t block = 0; block < run->count; ++block) {
        ASSERT_EQ(occupied.count((run->first + block).value()), 0U);
      }
      EXPECT_EQ(allocator_->free_now(), free - run->count);
      allocator_->cancel(*run);
      taken += run->count;
      from = run->end();
    }
    EXPECT_EQ(allocator_->free_now(), free);
    if (minimum == 1) {
      EXPECT_EQ(taken, free);
    } else {
      EXPECT_LT(taken, free);
    }
  }
  // A part of a run, and nothing beyond the end.
  const auto run = allocator_->take_free(*io_, BlockRun{BlockNumber{layout_->block_count() - 10}, 10}, 1, 100);
  ASSERT_TRUE(run);
  EXPECT_LE(run->end(), BlockNumber{layout_->block_count()});
  EXPECT_FALSE(allocator_->take_free(*io_, BlockRun{BlockNumber{layout_->block_count() - 1}, 2}, 1, 1));
  EXPECT_FALSE(allocator_->take_free(*io_, BlockRun{BlockNumber{0}, 1}, 0, 1));
}

TEST_F(AllocatorSearch, LongRunsBeforeShortOnes) {
  make();
  // Holes of one block at the start of the volume; a request for many must not be cut up into them.
  std::vector<BlockRun> small;
  for (int i = 0; i < 200; ++i) small.push_back(occupy(1));
  for (std::size_t i = 0; i < small.size(); i += 2) commit_free(small[i]);
  checkpoint();
  const auto run = allocate(1, 100, small[0].first);
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->count, 100U);
}

TEST_F(AllocatorSearch, AFragmentedVolumeGivesItsLongestRuns) {
  make(VolumeShape{.bytes = 16U << 20});
  std::vector<BlockRun> all = take_all();
  // Give back one block of every ten, and one run of seven.
  std::uint64_t holes = 0;
  bool long_hole = false;
  for (const BlockRun& run : all) {
    for (std::uint64_t i = 5; i + 20 < run.count; i += 10) {
      const bool make_long = !long_hole && i > 1000;
      allocator_->cancel(BlockRun{run.first + i, make_long ? 7U : 1U});
      holes += make_long ? 7 : 1;
      long_hole = long_hole || make_long;
    }
  }
  ASSERT_TRUE(long_hole);
  EXPECT_EQ(allocator_->free_now(), holes);
  EXPECT_FALSE(allocate(8, 8).has_value());
  const auto longest = allocate(5, 64);
  ASSERT_TRUE(longest.has_value());
  EXPECT_EQ(longest->count, 7U);
  EXPECT_FALSE(allocate(2, 64).has_value());
  // And single blocks down to the last one.
  std::set<std::uint64_t> seen;
  while (const auto run = allocate(1, 64)) {
    EXPECT_EQ(run->count, 1U);
    EXPECT_TRUE(seen.insert(run->first.value()).second);
  }
  EXPECT_EQ(seen.size(), holes - 7);
  EXPECT_EQ(allocator_->free_now(), 0U);
}

TEST_F(AllocatorSearch, MetadataLiesApartFromData) {
  make();
  AllocationRequest node;
  node.purpose = Purpose::metadata;
  node.minimum = node.maximum = 2;
  std::set<std::uint32_t> data_groups;
  std::set<std::uint32_t> node_groups;
  std::optional<BlockRun> previous;
  int jumps = 0;
  for (int i = 0; i < 100; ++i) {
    data_groups.insert(layout_->group_of(occupy(4).first));
    const auto run = allocate(node);
    ASSERT_TRUE(run.has_value());
    node_groups.insert(layout_->group_of(run->first));
    if (previous && run->first != previous->end()) ++jumps;
    previous = run;
  }
  EXPECT_LE(jumps, 1) << "over the group's bitmaps";
  for (const std::uint32_t group : node_groups) EXPECT_EQ(data_groups.count(group), 0U);
}

TEST_F(AllocatorSearch, SecondCopiesAreInAnotherGroupWhileThereIsOne) {
  make();
  for (int i = 0; i < 200; ++i) {
    AllocationRequest node;
    node.purpose = Purpose::metadata;
    node.minimum = node.maximum = 2;
    const auto first = allocate(node);
    ASSERT_TRUE(first.has_value());
    node.avoid_group = layout_->group_of(first->first);
    const auto second = allocate(node);
    ASSERT_TRUE(second.has_value());
    EXPECT_NE(layout_->group_of(second->first), node.avoid_group);
  }
  // With room in no other group the same one will do.
  const std::vector<BlockRun> all = take_all();
  ASSERT_GE(all.front().count, 4U);
  allocator_->cancel(BlockRun{all.front().first, 4});
  AllocationRequest node;
  node.purpose = Purpose::metadata;
  node.minimum = node.maximum = 2;
  node.avoid_group = layout_->group_of(all.front().first);
  EXPECT_TRUE(allocate(node).has_value());
}

TEST_F(AllocatorSearch, OneGroupHoldsBothKinds) {
  make(VolumeShape{.bytes = 16U << 20, .block_size = 4096, .node_size = 16384});
  ASSERT_EQ(layout_->group_count(), 1U);
  AllocationRequest node;
  node.purpose = Purpose::metadata;
  node.minimum = node.maximum = 4;
  const auto first = allocate(node);
  ASSERT_TRUE(first.has_value());
  node.avoid_group = 0;
  const auto second = allocate(node);
  ASSERT_TRUE(second.has_value());
  EXPECT_GE(second->first, first->end());
  const auto data = allocate(1, 4);
  ASSERT_TRUE(data.has_value());
  EXPECT_LT(data->first, first->first);
}

TEST_F(AllocatorSearch, MetadataReusesWhatCheckpointsGaveBack) {
  make();
  AllocationRequest node;
  node.purpose = Purpose::metadata;
  node.minimum = node.maximum = 2;
  std::set<std::uint64_t> places;
  std::vector<BlockRun> old;
  for (int generation = 0; generation < 50; ++generation) {
    begin_checkpoint();
    std::vector<BlockRun> fresh;
    for (int i = 0; i < 10; ++i) {
      const auto run = allocate(node);
      ASSERT_TRUE(run.has_value());
      ASSERT_TRUE(allocator_->commit_node_allocate(*io_, *run).has_value());
      places.insert(run->first.value());
      fresh.push_back(*run);
    }
    for (const BlockRun& run : old) ASSERT_TRUE(allocator_->commit_node_free(*io_, run).has_value());
    old = fresh;
    const auto totals = allocator_->write_frozen(*io_);
    ASSERT_TRUE(totals.has_value());
    finish_checkpoint(*totals);
  }
  EXPECT_LE(places.size(), 30U) << "the tree wanders over the volume";
}

TEST_F(AllocatorSearch, ImpossibleRequests) {
  make();
  EXPECT_FALSE(allocate(layout_->group_blocks() + 1, layout_->group_blocks() + 1).has_value());
  AllocationRequest nothing;
  nothing.minimum = 0;
  EXPECT_EQ(allocator_->allocate(*io_, nothing).error().code(), ErrorCode::invalid_argument);
  nothing.minimum = 5;
  nothing.maximum = 4;
  EXPECT_EQ(allocator_->allocate(*io_, nothing).error().code(), ErrorCode::invalid_argument);
}

TEST_F(AllocatorSearch, FixedBlocksAreNeverHandedOut) {
  make(VolumeShape{.bytes = 16U << 20});
  for (const BlockRun& run : take_all()) EXPECT_FALSE(layout_->touches_fixed(run));
}

}  // namespace
}  // namespace ashlar::store
