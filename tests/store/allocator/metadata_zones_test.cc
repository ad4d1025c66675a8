// Zones for metadata: where they are, and who gets blocks there.
#include <algorithm>

#include "tests/store/allocator/allocator_fixture.h"

namespace ashlar::store {
namespace {

constexpr std::uint64_t kNode = 2;  // blocks

class MetadataZones : public AllocatorFixture {
 protected:
  // Every block is taken, then those for which `keep` is false are given back.
  template <typename Keep>
  void scatter(Keep keep) {
    std::vector<BlockRun> taken;
    while (const auto run = allocate(1, 1U << 20)) taken.push_back(*run);
    for (const BlockRun& run : taken) {
      for (BlockNumber block = run.first; block < run.end(); ++block) {
        const BlockRun one{block, 1};
        if (keep(block)) {
          commit_allocate(one);
        } else {
          allocator_->cancel(one);
        }
      }
    }
  }
  void scatter_every_second() {
    scatter([](BlockNumber block) { return block.value() % 2 == 0; });
  }
  std::optional<BlockRun> allocate_node() {
    return allocate({.purpose = Purpose::metadata, .goal = BlockNumber{0}, .minimum = kNode, .maximum = kNode});
  }
};

bool lies_in(BlockRun run, const std::vector<BlockRun>& zones) {
  return std::any_of(zones.begin(), zones.end(),
                     [&](const BlockRun& zone) { return zone.first < run.end() && run.first < zone.end(); });
}

TEST_F(MetadataZones, LieWhereMostIsFree) {
  make();
  const std::uint32_t emptiest = 7;
  scatter([&](BlockNumber block) {
    return layout_->group_of(block) == emptiest ? block.value() % 3 == 0 : block.value() % 2 == 0;
  });
  const auto zones = allocator_->open_metadata_zones(*io_, 256);
  ASSERT_TRUE(zones);
  ASSERT_EQ(zones->size(), 1U);
  EXPECT_EQ(zones->front().count, 256U);
  EXPECT_EQ(layout_->group_of(zones->front().first), emptiest);
}

TEST_F(MetadataZones, DataLiesElsewhere) {
  make();
  scatter_every_second();
  const auto zones = allocator_->open_metadata_zones(*io_, 1024);
  ASSERT_TRUE(zones);
  std::uint64_t taken = 0;
  // Whoever asks for a place there does not get it either.
  while (const auto run = allocate(1, 64, zones->front().first)) {
    ASSERT_FALSE(lies_in(*run, *zones));
    taken += run->count;
  }
  EXPECT_GT(taken, 0U);
  EXPECT_EQ(allocator_->free_now(), zones->front().count / 2);
  EXPECT_TRUE(allocator_->close_metadata_zones());
  EXPECT_FALSE(allocator_->close_metadata_zones());
  while (allocate(1, 64)) {
  }
  EXPECT_EQ(allocator_->free_now(), 0U);
}

TEST_F(MetadataZones, NodesFindPlacesInThemOnceTheyAreEmpty) {
  make();
  scatter_every_second();
  EXPECT_FALSE(allocate_node());
  const auto zones = allocator_->open_metadata_zones(*io_, 256);
  ASSERT_TRUE(zones);
  EXPECT_FALSE(allocate_node());
  const BlockRun zone = zones->front();
  for (BlockNumber block = zone.first; block < zone.end(); ++block) {
    if (block.value() % 2 == 0) commit_free({block, 1});
  }
  checkpoint();
  std::uint64_t nodes = 0;
  while (const auto node = allocate_node()) {
    ASSERT_TRUE(lies_in(*node, *zones));
    ++nodes;
  }
  EXPECT_EQ(nodes, zone.count / kNode);
}

TEST_F(MetadataZones, AreApartFromOneAnother) {
  make();
  scatter_every_second();
  std::vector<BlockRun> all;
  for (std::size_t i = 0; i < 2 * Allocator::kMaxMetadataZones; ++i) {
    const auto zones = allocator_->open_metadata_zones(*io_, 64);
    ASSERT_TRUE(zones);
    for (const BlockRun& zone : *zones) {
      // The oldest ones have been closed.
      const auto open = all.size() > Allocator::kMaxMetadataZones
                            ? all.end() - static_cast<std::ptrdiff_t>(Allocator::kMaxMetadataZones - 1)
                            : all.begin();
      EXPECT_FALSE(lies_in(zone, {open, all.end()}));
      all.push_back(zone);
    }
  }
  std::uint64_t taken = 0;
  while (const auto run = allocate(1, 64)) taken += run->count;
  EXPECT_EQ(allocator_->free_now(), Allocator::kMaxMetadataZones * 64 / 2) << taken;
}

TEST_F(MetadataZones, ManyLieInSeveralGroups) {
  make();
  scatter_every_second();
  const auto zones = allocator_->open_metadata_zones(*io_, 5000);
  ASSERT_TRUE(zones);
  EXPECT_GT(zones->size(), 1U);
  EXPECT_TRUE(std::is_sorted(zones->begin(), zones->end(),
                             [](const BlockRun& a, const BlockRun& b) { return a.first < b.first; }));
  for (const BlockRun& zone : *zones) {
    EXPECT_EQ(layout_->group_of(zone.first), layout_->group_of(zone.end() - 1));
  }
}

// The data there must find room elsewhere.
TEST_F(MetadataZones, NoneWhereTooLittleIsFree) {
  make();
  scatter([](BlockNumber) { return true; });
  const auto none = allocator_->open_metadata_zones(*io_, 256);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), ErrorCode::no_space);
}

// All of them together: what lies in one is not moved to another.
TEST_F(MetadataZones, NoMoreThanThereIsRoomFor) {
  make();
  scatter([](BlockNumber block) { return block.value() % 8 != 0; });
  const std::uint64_t free = allocator_->free_now();
  const auto zones = allocator_->open_metadata_zones(*io_, 1U << 20);
  ASSERT_FALSE(zones) << "in proportion to what was asked for it is nothing";
  const auto fewer = allocator_->open_metadata_zones(*io_, 20'000);
  ASSERT_TRUE(fewer);
  std::uint64_t blocks = 0;
  for (const BlockRun& zone : *fewer) blocks += zone.count;
  EXPECT_LE(2 * blocks * 7 / 8 + blocks / 8, free);  // twice what is in use, besides what is free there
}

TEST_F(MetadataZones, SmallerOnesWhereLittleIsFree) {
  make();
  // A seventh of one group.
  scatter([&](BlockNumber block) { return layout_->group_of(block) != 3 || block.value() % 7 != 0; });
  const auto zones = allocator_->open_metadata_zones(*io_, 2048);
  ASSERT_TRUE(zones);
  EXPECT_LT(zones->front().count, 2048U);
  EXPECT_EQ(layout_->group_of(zones->front().first), 3U);
}

}  // namespace
}  // namespace ashlar::store
