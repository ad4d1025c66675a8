// What fsck keeps of blocks, keys and inodes, against the plainest way to keep it.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "fsck/block_map.h"
#include "fsck/context.h"
#include "fsck/lost_keys.h"

namespace ashlar::fsck {
namespace {

using format::ItemKind;
using format::Key;

TEST(BlockMap, AgainstASet) {
  const Result<format::Layout> layout = format::Layout::plan(64ULL << 20, 512, 2048);
  ASSERT_TRUE(layout);
  BlockMap map(*layout);
  std::set<std::uint64_t> taken;
  std::mt19937_64 random(5);
  const auto first_of = [&taken](BlockRun run) -> std::optional<BlockNumber> {
    const auto found = taken.lower_bound(run.first.value());
    if (found == taken.end() || *found >= run.end().value()) return std::nullopt;
    return BlockNumber{*found};
  };
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t first = random() % (layout->block_count() - 1);
    // Within a word, over words, over groups.
    const std::uint64_t most = i % 3 == 0 ? 3 : i % 3 == 1 ? 200 : i % 50 == 2 ? 9000 : 1;
    const std::uint64_t count = std::min(1 + random() % most, layout->block_count() - first);
    const BlockRun run{BlockNumber{first}, count};
    ASSERT_EQ(map.first_taken(run), first_of(run));
    if (i % 2 == 0) continue;
    ASSERT_EQ(map.claim(run), first_of(run));
    for (std::uint64_t block = first; block < first + count; ++block) taken.insert(block);
  }
  BlockMap other(*layout);
  std::uint64_t free = 0;
  while (taken.contains(free)) ++free;
  EXPECT_FALSE(other.claim({BlockNumber{free}, 1}));
  BlockMap both = map;
  EXPECT_TRUE(both.claim_all(other));
  EXPECT_FALSE(both.claim_all(other));
  EXPECT_TRUE(both.first_taken({BlockNumber{free}, 1}));
  EXPECT_FALSE(map.first_taken({BlockNumber{free}, 1}));
}

TEST(LostKeys, AgainstAListOfRanges) {
  std::mt19937_64 random(6);
  const auto any_key = [&random] {
    return Key{InodeNumber{random() % 30}, random() % 2 == 0 ? ItemKind::inode : ItemKind::extent, random() % 4};
  };
  for (int round = 0; round < 50; ++round) {
    LostKeys lost;
    std::vector<KeyRange> ranges;
    EXPECT_TRUE(lost.empty());
    for (int i = 0; i < 12; ++i) {
      KeyRange range{any_key(), any_key()};
      if (random() % 20 == 0) range.limit.reset();
      lost.add(range);
      ranges.push_back(range);
      for (int probe = 0; probe < 50; ++probe) {
        const Key a = any_key();
        const Key b = std::max(a, any_key());
        bool holds = false;
        bool touches = false;
        for (const KeyRange& each : ranges) {
          const bool is_empty = each.limit && *each.limit <= each.lowest;
          holds = holds || each.holds(a);
          touches = touches || (!is_empty && each.lowest <= b && (!each.limit || *each.limit > a));
        }
        ASSERT_EQ(lost.holds(a), holds);
        ASSERT_EQ(lost.touches(a, b), touches);
      }
    }
  }
}

// Numbers in a row, with gaps, and far apart.
TEST(Inodes, AreFoundByTheirNumber) {
  std::mt19937_64 random(7);
  for (const std::uint64_t most_apart : {1ULL, 2ULL, 20ULL, 1ULL << 40}) {
    for (std::size_t count = 0; count < 80; ++count) {
      std::vector<InodeRecord> inodes;
      std::set<std::uint64_t> numbers;
      std::uint64_t number = random() % 3;
      for (std::size_t i = 0; i < count; ++i) {
        inodes.emplace_back().number = number;
        numbers.insert(number);
        number += 1 + random() % most_apart;
      }
      const auto expect_right = [&](std::uint64_t wanted) {
        const InodeRecord* const found = find_inode(inodes, wanted);
        ASSERT_EQ(found != nullptr, numbers.contains(wanted));
        EXPECT_TRUE(found == nullptr || found->number == wanted);
      };
      for (const std::uint64_t each : numbers) {
        expect_right(each);
        expect_right(each + 1);
        expect_right(each - 1);
      }
      for (const std::uint64_t each : {std::uint64_t{0}, number, ~std::uint64_t{0}}) expect_right(each);
    }
  }
}

}  // namespace
}  // namespace ashlar::fsck
