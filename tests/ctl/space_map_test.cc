#include "fs/ctl/space_map.h"

#include <gtest/gtest.h>

namespace ashlar::ctl {
namespace {

TEST(SpaceMap, PartsOfEqualSizeButTheLast) {
  SpaceMap map(1000, 64);
  EXPECT_EQ(map.cell_blocks(), 16U);
  ASSERT_EQ(map.cells().size(), 63U);
  EXPECT_EQ(map.blocks_in_cell(0), 16U);
  EXPECT_EQ(map.blocks_in_cell(62), 8U);
  const SpaceMap small(10, 64);
  EXPECT_EQ(small.cell_blocks(), 1U);
  EXPECT_EQ(small.cells().size(), 10U);
}

TEST(SpaceMap, CountsWhatIsInEachPart) {
  SpaceMap map(100, 10);
  map.mark_fixed({BlockNumber{0}, 15});
  map.add(BlockState::used, 25);
  map.add(BlockState::free, 30);
  map.add(BlockState::unknown, 10);
  map.add(BlockState::used, 1000);  // bits behind the end
  map.finish();
  EXPECT_EQ(map.cells()[0].used, 10U);
  EXPECT_EQ(map.cells()[0].fixed, 10U);
  EXPECT_EQ(map.cells()[1].fixed, 5U);
  EXPECT_EQ(map.cells()[2].used, 5U);
  EXPECT_EQ(map.cells()[3].used, 0U);
  EXPECT_EQ(map.cells()[5].unknown, 5U);
  EXPECT_EQ(map.cells()[6].unknown, 5U);
  EXPECT_EQ(map.cells()[6].used, 5U);
  EXPECT_EQ(map.total().used, 60U);
  EXPECT_EQ(map.total().fixed, 15U);
  EXPECT_EQ(map.total().unknown, 10U);
  EXPECT_EQ(map.free().blocks, 30U);
}

TEST(SpaceMap, FreeRunsByPowerOfTwo) {
  SpaceMap map(100, 1);
  for (const std::uint64_t run : {1U, 1U, 3U, 7U}) {
    map.add(BlockState::free, run);
    map.add(BlockState::used, 1);
  }
  // Told in two pieces, as by two groups, and to the very end.
  map.add(BlockState::free, 40);
  map.add(BlockState::free, 44);
  map.finish();
  EXPECT_EQ(map.free().count, 5U);
  EXPECT_EQ(map.free().blocks, 96U);
  EXPECT_EQ(map.longest_free_run(), 84U);
  EXPECT_EQ(map.free_runs()[0].count, 2U);
  EXPECT_EQ(map.free_runs()[1].blocks, 3U);
  EXPECT_EQ(map.free_runs()[2].blocks, 7U);
  EXPECT_EQ(map.free_runs()[6].blocks, 84U);
}

}  // namespace
}  // namespace ashlar::ctl
