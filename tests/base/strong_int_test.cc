#include "fs/base/strong_int.h"

#include <gtest/gtest.h>

#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <unordered_set>

#include "fs/base/types.h"

namespace ashlar {
namespace {

template <typename A, typename B>
concept Comparable = requires(A a, B b) {
  a == b;
};
template <typename A, typename B>
concept Addable = requires(A a, B b) {
  a + b;
};
template <typename A, typename B>
concept Subtractable = requires(A a, B b) {
  a - b;
};

// What must not compile: these types exist to keep units apart.
static_assert(!Comparable<BlockNumber, InodeNumber>);
static_assert(!Comparable<BlockNumber, std::uint64_t>);
static_assert(!Subtractable<BlockNumber, Lsn>);
static_assert(!Addable<BlockNumber, BlockNumber>, "a position plus a position has no meaning");
static_assert(!std::convertible_to<std::uint64_t, BlockNumber>);
static_assert(!std::convertible_to<BlockNumber, std::uint64_t>);
static_assert(sizeof(BlockNumber) == sizeof(std::uint64_t));
static_assert(std::is_trivially_copyable_v<BlockNumber>);

TEST(StrongIntTest, IsZeroUnlessToldOtherwise) {
  EXPECT_EQ(BlockNumber{}.value(), 0U);
  EXPECT_EQ(InodeNumber{}, kNoInode);
}

TEST(StrongIntTest, ComparesByValue) {
  EXPECT_LT(Lsn(1), Lsn(2));
  EXPECT_GE(Lsn(2), Lsn(2));
  EXPECT_NE(kNoInode, kRootInode);
}

TEST(StrongIntTest, MovesByCountsAndMeasuresDistances) {
  BlockNumber block(10);
  EXPECT_EQ(block + 5, BlockNumber(15));
  EXPECT_EQ(block - 4, BlockNumber(6));
  EXPECT_EQ(BlockNumber(15) - block, 5U);
  block += 7;
  EXPECT_EQ(++block, BlockNumber(18));
}

TEST(StrongIntTest, HoldsTheWholeRange) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(BlockNumber(kMost).value(), kMost);
  EXPECT_EQ((BlockNumber(kMost) - 1).value(), kMost - 1);
}

TEST(StrongIntTest, HashesAsAKey) {
  const std::unordered_set<InodeNumber> seen{InodeNumber(1), InodeNumber(2), InodeNumber(1)};
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen.contains(kRootInode));
  EXPECT_FALSE(seen.contains(kNoInode));
}

TEST(BlockRunTest, EndsAfterItsLastBlock) {
  const BlockRun run{BlockNumber(100), 8};
  EXPECT_EQ(run.end(), BlockNumber(108));
  EXPECT_EQ((BlockRun{BlockNumber(100), 0}.end()), BlockNumber(100));
  EXPECT_EQ(run, (BlockRun{BlockNumber(100), 8}));
}

}  // namespace
}  // namespace ashlar
