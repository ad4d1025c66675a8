// Where the pieces of a large file come to lie whose writes arrive in another order than they were made in.
#include "fs/volume/allocation_stream.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "fs/format/items.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr std::uint64_t kCount = AllocationStream::kLeastBlocks;

TEST(AllocationStream, KnowsNothingBeforeTheFirst) {
  const AllocationStream stream;
  EXPECT_EQ(stream.goal_for(0, kCount), BlockNumber{0});
  EXPECT_EQ(stream.goal_for(1'000'000, kCount), BlockNumber{0});
}

TEST(AllocationStream, LeavesRoomForWhatIsStillToCome) {
  AllocationStream stream;
  stream.note(1000, {BlockNumber{50'000}, kCount});
  EXPECT_EQ(stream.goal_for(1000 + kCount, kCount), BlockNumber{50'000 + kCount});
  EXPECT_EQ(stream.goal_for(1000 + 3 * kCount, kCount), BlockNumber{50'000 + 3 * kCount});
  EXPECT_EQ(stream.goal_for(1000 - 2 * kCount, kCount), BlockNumber{50'000 - 2 * kCount});
}

TEST(AllocationStream, EndsAtItsReachAndAtTheBeginningOfTheDevice) {
  AllocationStream stream;
  stream.note(1'000'000, {BlockNumber{kCount}, kCount});
  const std::uint64_t end = 1'000'000 + kCount;
  const std::uint64_t reach = AllocationStream::kReach * kCount;
  EXPECT_EQ(stream.goal_for(end + reach, kCount), BlockNumber{2 * kCount + reach});
  EXPECT_EQ(stream.goal_for(end + reach + 1, kCount), BlockNumber{0});
  EXPECT_EQ(stream.goal_for(end - 2 * kCount + 1, kCount), BlockNumber{1});
  EXPECT_EQ(stream.goal_for(end - 2 * kCount, kCount), BlockNumber{0});
}

class WritesOutOfOrder : public ::testing::Test {
 protected:
  void SetUp() override {
    file = rig.make_file(kRootInode, "f");
    ASSERT_EQ(rig.hold(kRootInode, "f"), file);  // as the kernel holds an open file
  }

  // Runs of blocks that follow one another in the file and on the device.
  int runs() {
    int count = 0;
    BlockNumber next{0};
    const format::Key from{file, format::ItemKind::extent, 0};
    const format::Key to{file, format::ItemKind::extent, ~std::uint64_t{0}};
    EXPECT_TRUE(rig.volume().store().scan(rig.io(), from, to, [&](const format::Key& key, const auto& value) {
      const auto extent = format::parse_extent(key, value, ~std::uint64_t{0});
      EXPECT_TRUE(extent);
      if (extent && extent->physical != next) ++count;
      if (extent) next = extent->physical + extent->count;
      return true;
    }));
    return count;
  }

  Rig rig;
  InodeNumber file;
};

TEST_F(WritesOutOfOrder, LieInOrder) {
  const std::uint64_t piece = kCount * rig.block_size();
  for (const std::uint64_t index : std::array<std::uint64_t, 8>{0, 2, 1, 4, 3, 7, 6, 5}) {
    rig.write(file, index * piece, pattern(piece, static_cast<unsigned>(index)));
  }
  EXPECT_EQ(runs(), 1);
  for (unsigned index = 0; index < 8; ++index) {
    EXPECT_TRUE(same(rig.read(file, index * piece, piece), pattern(piece, index)));
  }
  rig.check();
}

// A hole that may stay one for ever keeps no room.
TEST_F(WritesOutOfOrder, SmallOnesFollowOneAnother) {
  const std::uint64_t piece = 8 * rig.block_size();
  rig.write(file, 0, pattern(piece, 0));
  rig.write(file, 100 * piece, pattern(piece, 1));
  EXPECT_EQ(runs(), 1);
}

}  // namespace
}  // namespace ashlar::volume::testing
