#include "fs/format/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "tests/format/samples.h"

namespace ashlar::format {
namespace {

using testing::kOtherUuid;
using testing::kUuid;

struct Part {
  BlockRun run;
  const char* what;
};

// Everything fixed, gathered from the single accessors.
std::vector<Part> parts_of(const Layout& layout) {
  const std::uint64_t head = (64U << 10) / layout.block_size();
  std::vector<Part> parts{{{BlockNumber{0}, head}, "head"},
                          {{BlockNumber{(8U << 20) / layout.block_size()}, head}, "second head"},
                          {layout.log(), "log"}};
  for (std::size_t slot = 0; slot < 2; ++slot) {
    for (std::size_t copy = 0; copy < 2; ++copy) {
      parts.push_back({{layout.group_table_block(0, slot, copy), layout.group_table_blocks()}, "group table"});
      for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
        parts.push_back({{layout.bitmap_block(group, slot, copy), 1}, "bitmap"});
      }
    }
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.run.first < b.run.first; });
  return parts;
}

void expect_sound(const Layout& layout) {
  const auto parts = parts_of(layout);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    total += parts[i].run.count;
    ASSERT_LE(parts[i].run.end().value(), layout.block_count()) << parts[i].what;
    ASSERT_TRUE(layout.touches_fixed(parts[i].run)) << parts[i].what;
    if (i > 0) {
      ASSERT_GE(parts[i].run.first, parts[i - 1].run.end()) << parts[i - 1].what << " / " << parts[i].what;
    }
  }
  EXPECT_EQ(layout.fixed_blocks(), total);
  EXPECT_TRUE(layout.check());

  // The per-group view says the same.
  std::uint64_t by_group = 0;
  std::uint64_t blocks = 0;
  for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
    BlockNumber before = layout.group_first(group);
    blocks += layout.blocks_in_group(group);
    for (const BlockRun& run : layout.fixed_runs(group)) {
      EXPECT_GE(run.first, before);
      before = run.end();
      by_group += run.count;
      EXPECT_EQ(layout.group_of(run.first), group);
    }
    EXPECT_LE(before, layout.group_first(group) + layout.blocks_in_group(group));
  }
  EXPECT_EQ(by_group, total);
  EXPECT_EQ(blocks, layout.block_count());
}

TEST(LayoutTest, HoldsTogetherAtEverySize) {
  std::mt19937_64 random(11);
  for (std::uint32_t block_size = kMinBlockSize; block_size <= kMaxBlockSize; block_size *= 2) {
    const std::uint64_t group_bytes = std::uint64_t{block_size} * block_size * 8;
    std::vector<std::uint64_t> sizes{16ULL << 20, (16ULL << 20) + 1, (16ULL << 20) + 512, 17ULL << 20, 100ULL << 20};
    for (const std::uint64_t groups : {8U, 9U, 16U, 50U}) {
      const std::uint64_t size = std::max(groups * group_bytes, std::uint64_t{16} << 20);
      for (const std::uint64_t more : {0ULL, 1ULL * block_size, 64ULL << 10, (64ULL << 10) + 4ULL * block_size}) {
        sizes.push_back(size + more);
      }
    }
    for (int i = 0; i < 20; ++i) sizes.push_back((16ULL << 20) + random() % (20 * group_bytes));
    for (const std::uint64_t size : sizes) {
      SCOPED_TRACE(::testing::Message() << "block size " << block_size << ", volume " << size);
      const auto layout = Layout::plan(size, block_size, std::max(block_size, kMinNodeSize));
      ASSERT_TRUE(layout) << layout.error().message();
      EXPECT_LE(layout->block_count() * block_size, size);
      EXPECT_GT(layout->block_count() * block_size + group_bytes, size);
      EXPECT_GE(layout->log().count * block_size, 1U << 20);
      EXPECT_LE(layout->log().count * block_size, 64U << 20);
      expect_sound(*layout);
    }
  }
}

std::uint32_t tables_placed(const Layout& layout) {
  std::uint32_t placed = 0;
  for (std::size_t copy = 0; copy < kCopies; ++copy) placed += layout.group_table_run(copy).count != 0 ? 1 : 0;
  return placed;
}

// One made larger has the size that mkfs would make it, its log where it was, and its table only elsewhere when it
// needs more blocks.
void expect_grown(const Layout& old, std::uint64_t size) {
  const auto grown = old.grown(size);
  ASSERT_TRUE(grown) << grown.error().message();
  const auto planned = Layout::plan(size, old.block_size(), old.node_size());
  ASSERT_TRUE(planned);
  EXPECT_EQ(grown->block_count(), std::max(planned->block_count(), old.block_count()));
  EXPECT_EQ(grown->log(), old.log());
  const bool moved = grown->group_table_blocks() != old.group_table_blocks();
  if (moved && tables_placed(*grown) != kCopies) return;
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    if (moved) {
      EXPECT_GE(grown->group_table_first(copy).value(), old.block_count());
    } else {
      EXPECT_EQ(grown->group_table_run(copy), old.group_table_run(copy));
    }
  }
  expect_sound(*grown);
}

TEST(LayoutGrowthTest, HoldsTogetherFromEverySizeToEveryOther) {
  std::mt19937_64 random(12);
  for (std::uint32_t block_size = kMinBlockSize; block_size <= kMaxBlockSize; block_size *= 2) {
    const std::uint64_t group_bytes = std::uint64_t{block_size} * block_size * 8;
    const std::uint64_t table_bytes = (block_size - 64) / 32 * group_bytes;  // that one block of the table tells of
    constexpr std::uint64_t kLeast = 16ULL << 20;
    std::vector<std::uint64_t> sizes{kLeast, kLeast + 1, kLeast + block_size, 17ULL << 20, 100ULL << 20};
    for (const std::uint64_t near : {group_bytes, 2 * group_bytes, 9 * group_bytes}) {
      for (const std::uint64_t more : {0ULL, 1ULL * block_size, 64ULL << 10, (64ULL << 10) + 4ULL * block_size}) {
        sizes.push_back(std::max(kLeast, near + more));
      }
    }
    if (block_size <= 2048) {
      sizes.insert(sizes.end(), {table_bytes, table_bytes + group_bytes, 2 * table_bytes + 5 * group_bytes});
    }
    for (int i = 0; i < 6; ++i) sizes.push_back(kLeast + random() % (20 * group_bytes));
    std::sort(sizes.begin(), sizes.end());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto old = Layout::plan(sizes[i], block_size, std::max(block_size, kMinNodeSize));
      ASSERT_TRUE(old);
      for (std::size_t j = i; j < sizes.size(); ++j) {
        SCOPED_TRACE(::testing::Message() << "block size " << block_size << ", " << sizes[i] << " to " << sizes[j]);
        ASSERT_NO_FATAL_FAILURE(expect_grown(*old, sizes[j]));
      }
    }
  }
}

TEST(LayoutGrowthTest, AGroupTableOfMoreBlocksGoesToWhatIsGained) {
  // Blocks of 512 bytes: groups of 2 MiB, 14 of them in a block of the table.
  constexpr std::uint64_t kGroup = 2ULL << 20;
  Layout layout = *Layout::plan(14 * kGroup, 512, 1024);
  EXPECT_EQ(layout.group_table_blocks(), 1U);
  for (const auto& [groups, blocks] :
       {std::pair{15U, 2U}, std::pair{28U, 2U}, std::pair{29U, 3U}, std::pair{290U, 21U}}) {
    const Layout grown = *layout.grown(groups * kGroup);
    EXPECT_EQ(grown.group_table_blocks(), blocks);
    expect_grown(layout, groups * kGroup);
    layout = grown;
  }
  EXPECT_NE(layout.group_of(layout.group_table_first(0)), layout.group_of(layout.group_table_first(1)));
}

TEST(LayoutGrowthTest, WhereNothingGainedHoldsTheTableItIsForOthersToPlace) {
  constexpr std::uint64_t kGroup = 2ULL << 20;
  const Layout old = *Layout::plan(14 * kGroup, 512, 1024);
  // The new group has its bitmaps and three blocks.
  Layout grown = *old.grown(14 * kGroup + (64U << 10) + 7 * 512);
  EXPECT_EQ(grown.group_table_blocks(), 2U);
  EXPECT_EQ(tables_placed(grown), 0U);
  EXPECT_FALSE(grown.check());
  grown.place_group_table(0, grown.group_first(3) + 1000);
  grown.place_group_table(1, grown.group_first(9) + 1000);
  EXPECT_TRUE(grown.check());
  expect_sound(grown);
}

TEST(LayoutGrowthTest, KnowsItsLimits) {
  const Layout layout = *Layout::plan(64ULL << 20, 4096, 16384);
  EXPECT_EQ(layout.grown((64ULL << 20) - 4096).error().code(), ErrorCode::invalid_argument);
  EXPECT_EQ(layout.grown(0).error().code(), ErrorCode::invalid_argument);
  EXPECT_EQ(layout.grown(300ULL << 40).error().code(), ErrorCode::invalid_argument);
  EXPECT_TRUE(layout.grown(250ULL << 40));
  EXPECT_EQ(layout.grown((64ULL << 20) + 4095)->block_count(), layout.block_count());
}

TEST(LayoutTest, KnownPlacesOfADefaultVolume) {
  const Layout layout = *Layout::plan(4ULL << 30, 4096, 16384);
  EXPECT_EQ(layout.block_count(), 1U << 20);
  EXPECT_EQ(layout.group_blocks(), 32768U);
  EXPECT_EQ(layout.group_count(), 32U);
  EXPECT_EQ(layout.bitmap_block(0, 0, 0), BlockNumber{16});
  EXPECT_EQ(layout.bitmap_block(0, 1, 0), BlockNumber{17});
  EXPECT_EQ(layout.bitmap_block(0, 0, 1), BlockNumber{32768 + 18});
  EXPECT_EQ(layout.bitmap_block(31, 1, 1), BlockNumber{19});
  EXPECT_EQ(layout.group_table_first(0), BlockNumber{20});
  EXPECT_EQ(layout.group_table_first(1), BlockNumber{16 * 32768 + 20});
  EXPECT_EQ(layout.log(), (BlockRun{BlockNumber{2048 + 16}, 16384}));
}

TEST(LayoutTest, HugeVolumesArePlannedAtOnceAndTheLimitIsRefused) {
  for (const std::uint64_t tebibytes : {16ULL, 100ULL, 251ULL}) {
    const auto layout = Layout::plan(tebibytes << 40, 4096, 16384);
    ASSERT_TRUE(layout) << layout.error().message();
    EXPECT_TRUE(layout->check());
    EXPECT_GT(layout->fixed_blocks(), std::uint64_t{layout->group_count()} * 4);
    EXPECT_LT(layout->fixed_blocks(), layout->block_count() / 1000);
  }
  expect_sound(*Layout::plan(16ULL << 40, 4096, 16384));
  EXPECT_EQ(Layout::plan(252ULL << 40, 4096, 16384).error().code(), ErrorCode::invalid_argument);
  EXPECT_TRUE(Layout::plan(252ULL << 40, 8192, 16384));
  EXPECT_FALSE(Layout::plan(~0ULL, 4096, 16384));
  EXPECT_TRUE(Layout::plan(~0ULL >> 1, 65536, 65536));
}

TEST(LayoutTest, BadSizesAreRefused) {
  EXPECT_EQ(Layout::plan((16ULL << 20) - 1, 4096, 16384).error().code(), ErrorCode::device_too_small);
  EXPECT_EQ(Layout::plan(0, 4096, 16384).error().code(), ErrorCode::device_too_small);
  for (const std::uint32_t bad : {0U, 256U, 4095U, 12288U, 131072U}) {
    EXPECT_EQ(Layout::plan(1ULL << 30, bad, 65536).error().code(), ErrorCode::invalid_argument) << bad;
  }
  for (const std::uint32_t bad : {0U, 512U, 2048U, 12288U, 131072U}) {
    EXPECT_EQ(Layout::plan(1ULL << 30, 4096, bad).error().code(), ErrorCode::invalid_argument) << bad;
  }
}

TEST(LayoutTest, TheSuperblockTellsTheSameLayout) {
  const Layout planned = testing::sample_layout();
  const Layout read = Layout::of(testing::sample_superblock());
  EXPECT_EQ(read.fixed_blocks(), planned.fixed_blocks());
  EXPECT_EQ(read.log(), planned.log());
  for (std::uint32_t group = 0; group < planned.group_count(); ++group) {
    EXPECT_EQ(read.fixed_runs(group), planned.fixed_runs(group));
  }
}

TEST(LayoutTest, TheInitialBitmapHasTheFixedBlocksAndTheTailSet) {
  for (const std::uint32_t block_size : {512U, 4096U}) {
    const std::uint64_t size = (100ULL << 20) + 17 * std::uint64_t{block_size};
    const Layout layout = *Layout::plan(size, block_size, 4096);
    std::uint64_t free_blocks = 0;
    for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
      std::vector<std::byte> bitmap(block_size, std::byte{0x5a});
      const std::uint32_t free_here = layout.initial_bitmap(group, bitmap);
      std::vector<bool> expected(layout.group_blocks(), false);
      for (const BlockRun& run : layout.fixed_runs(group)) {
        for (std::uint64_t i = 0; i < run.count; ++i) expected[run.first - layout.group_first(group) + i] = true;
      }
      for (std::size_t i = layout.blocks_in_group(group); i < expected.size(); ++i) expected[i] = true;
      std::uint32_t clear = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const bool bit = (bitmap[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0};
        ASSERT_EQ(bit, expected[i]) << "group " << group << ", block " << i;
        clear += bit ? 0U : 1U;
      }
      EXPECT_EQ(free_here, clear);
      free_blocks += clear;
    }
    EXPECT_EQ(free_blocks, layout.block_count() - layout.fixed_blocks());
  }
}

TEST(LayoutTest, TouchesFixedAgreesWithTheRuns) {
  const Layout layout = *Layout::plan(20ULL << 20, 512, 1024);
  std::vector<bool> fixed(layout.block_count(), false);
  for (const Part& part : parts_of(layout)) {
    for (std::uint64_t i = 0; i < part.run.count; ++i) fixed[part.run.first.value() + i] = true;
  }
  for (std::uint64_t block = 0; block + 8 <= fixed.size(); ++block) {
    for (const std::uint64_t count : {1ULL, 2ULL, 8ULL}) {
      bool expected = false;
      for (std::uint64_t i = 0; i < count; ++i) expected = expected || fixed[block + i];
      ASSERT_EQ(layout.touches_fixed(BlockRun{BlockNumber{block}, count}), expected) << block << " + " << count;
    }
  }
  EXPECT_TRUE(layout.touches_fixed(BlockRun{BlockNumber{layout.group_blocks() - 1U}, layout.group_blocks()}));
}

std::vector<std::byte> sample_table_block() {
  std::vector<std::byte> block(4096);
  auto& header = *reinterpret_cast<GroupTableHeader*>(block.data());
  header.magic = kGroupTableMagic;
  std::memcpy(header.uuid, kUuid, sizeof kUuid);
  header.generation = 5;
  header.index = 3;
  header.count = 126;
  seal_group_table_block(block);
  return block;
}

TEST(GroupTableTest, ASoundBlockIsValidAndADamagedOneIsNot) {
  const auto sound = sample_table_block();
  EXPECT_TRUE(validate_group_table_block(sound, kUuid, 3, Generation{5}));
  for (std::size_t i = 0; i < sound.size(); ++i) {
    auto damaged = sound;
    damaged[i] ^= std::byte{2};
    EXPECT_EQ(validate_group_table_block(damaged, kUuid, 3, Generation{5}).error().code(), ErrorCode::bad_checksum)
        << i;
  }
}

TEST(GroupTableTest, ABlockOfElsewhereOrLaterIsRejected) {
  const auto sound = sample_table_block();
  EXPECT_EQ(validate_group_table_block(sound, kOtherUuid, 3, Generation{5}).error().code(),
            ErrorCode::misdirected_block);
  EXPECT_EQ(validate_group_table_block(sound, kUuid, 2, Generation{5}).error().code(), ErrorCode::misdirected_block);
  EXPECT_EQ(validate_group_table_block(sound, kUuid, 3, Generation{4}).error().code(), ErrorCode::stale_block);
  for (const std::uint32_t count : {0U, 127U, ~0U}) {
    auto damaged = sound;
    reinterpret_cast<GroupTableHeader*>(damaged.data())->count = count;
    seal_group_table_block(damaged);
    EXPECT_EQ(validate_group_table_block(damaged, kUuid, 3, Generation{5}).error().code(),
              ErrorCode::corrupt_structure);
  }
}

}  // namespace
}  // namespace ashlar::format
