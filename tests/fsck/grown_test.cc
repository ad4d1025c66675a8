// Volumes that were made larger: their fixed parts are not where mkfs would put them.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/image_editor.h"
#include "tests/fsck/repairing.h"
#include "tests/volume/pattern.h"

namespace ashlar::fsck::testing {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::size_t kFileBytes = 200'000;
constexpr unsigned kFiles = 30;

struct Case {
  const char* name;
  Geometry geometry;
  std::vector<std::uint64_t> sizes;  // one after the other, in MiB
};

// With blocks of 512 bytes, a block of the group table tells of 28 MiB.
const Case kCases[] = {
    {"AsMade", volume::testing::kMiddleNodes, {}},
    {"WithinAGroup", volume::testing::kMiddleNodes, {70}},
    {"ToManyGroups", volume::testing::kMiddleNodes, {600}},
    {"StepByStep", volume::testing::kLargeNodes, {65, 128, 130, 400}},
    {"SmallBlocks", volume::testing::kSmallNodes, {80, 120, 200}},
};

class Grown : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    Rig& rig = volume.rig;
    rig.mount();
    for (const std::uint64_t size : GetParam().sizes) {
      const auto grown = rig.volume().store().grow(rig.io(), size * kMiB, false);
      ASSERT_TRUE(grown) << grown.error().message();
      add_files();
    }
    rig.unmount();
    ASSERT_EQ(check(volume.device()).total(), 0U);
  }

  void add_files() {
    for (unsigned i = 0; i < kFiles; ++i) {
      const auto seed = static_cast<unsigned>(files.size());
      files.push_back(volume.rig.make_file(volume.left, "added " + std::to_string(seed)));
      volume.rig.write(files.back(), 0, volume::testing::pattern(kFileBytes, seed));
    }
    EXPECT_TRUE(volume.rig.volume().sync_all(volume.rig.context()));
  }

  void expect_all() {
    expect_clean(volume.device());
    volume.expect_undamaged({});
    volume.rig.mount();
    for (std::size_t i = 0; i < files.size(); ++i) {
      EXPECT_TRUE(volume::testing::same(volume.rig.read(files[i], 0, kFileBytes + 1),
                                        volume::testing::pattern(kFileBytes, static_cast<unsigned>(i))))
          << i;
    }
    volume.rig.unmount();
  }

  void erase_superblocks() {
    ImageEditor image(volume.device());
    const std::vector<std::byte> zeros(format::kSuperblockSize);
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      for (std::size_t copy = 0; copy < format::kCopies; ++copy)
        image.write_at(format::superblock_offset(slot, copy), zeros);
    }
  }
  // Of a copy of the group table.
  void erase_table_block(std::size_t copy, std::size_t slot, std::uint32_t index) {
    ImageEditor image(volume.device());
    const std::vector<std::byte> zeros(image.superblock.block_size);
    const format::Layout layout = image.layout();
    image.write_at(layout.byte_offset(layout.group_table_block(index, slot, copy)), zeros);
  }

  // The volume is as large as before, and each copy of the table but `lost` where one was.
  void repair_without_superblocks(std::optional<std::size_t> lost = std::nullopt) {
    const format::Layout before = ImageEditor(volume.device()).layout();
    erase_superblocks();
    CheckOptions options = healing();
    options.search = true;
    const Report report = repair(volume.device(), options);
    EXPECT_TRUE(report.is_repaired());
    const format::Layout after = ImageEditor(volume.device()).layout();
    EXPECT_EQ(after.block_count(), before.block_count());
    EXPECT_EQ(after.log().first, before.log().first);
    EXPECT_LE(after.log().count, before.log().count);
    const auto is_there = [&](const BlockRun& run) {
      return run == after.group_table_run(0) || run == after.group_table_run(1);
    };
    for (std::size_t copy = 0; copy < format::kCopies; ++copy)
      EXPECT_TRUE(copy == lost || is_there(before.group_table_run(copy))) << copy;
    expect_all();
  }

  DamagedVolume volume{GetParam().geometry};
  std::vector<InodeNumber> files;
};

TEST_P(Grown, IsRepaired) {
  {
    ImageEditor image(volume.device());
    const format::Layout layout = image.layout();
    // Of the group that was the last one, and of the table, nothing is left.
    const std::uint32_t last = layout.group_of(BlockNumber{64 * kMiB / layout.block_size()} - 1);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      image.damage_block(image.bitmap_block(last, copy));
      const std::uint32_t index = layout.group_table_blocks() - 1;
      image.damage_block(layout.group_table_block(index, image.table_slot(index), copy));
    }
  }
  const Report report = repair(volume.device());
  EXPECT_TRUE(report.is_repaired());
  expect_all();
}

TEST_P(Grown, IsFoundWithoutSuperblocks) { repair_without_superblocks(); }

// As when the beginning of a device is written over, or some of its middle.
TEST_P(Grown, IsFoundWithoutSuperblocksByOneCopyOfTheTable) {
  const blockio::MemoryImage pristine = volume.device().snapshot();
  const std::uint32_t blocks = ImageEditor(volume.device()).layout().group_table_blocks();
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    SCOPED_TRACE(copy);
    volume.device().restore(pristine);
    for (std::uint32_t index = 0; index < blocks; ++index) {
      for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) erase_table_block(copy, slot, index);
    }
    repair_without_superblocks(copy);
  }
}

TEST_P(Grown, IsFoundWithoutSuperblocksAndABlockOfTheTable) {
  const blockio::MemoryImage pristine = volume.device().snapshot();
  const std::uint32_t blocks = ImageEditor(volume.device()).layout().group_table_blocks();
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      for (std::uint32_t index = 0; index < blocks; index += std::max(1U, blocks - 1)) {
        SCOPED_TRACE(copy * 100 + slot * 10 + index);
        volume.device().restore(pristine);
        erase_table_block(copy, slot, index);
        repair_without_superblocks();
      }
    }
  }
}

// The log has come round many times, and holds what no checkpoint has.
TEST_P(Grown, ItsLogIsFoundWithoutSuperblocks) {
  Rig& rig = volume.rig;
  rig.mount();
  const std::uint64_t log_bytes =
      rig.volume().store().layout().log().count * rig.volume().store().layout().block_size();
  const InodeNumber file = rig.make_file(volume.left, "often");
  std::mt19937_64 random(5);
  for (std::uint64_t logged = 0; rig.volume().store().stats().log.chunk_bytes < 3 * log_bytes; ++logged) {
    rig.write(file, random() % 100 * 2048, volume::testing::pattern(1500, static_cast<unsigned>(logged)));
    ASSERT_TRUE(rig.volume().sync_all(rig.context()));
  }
  add_files();
  rig.crash();
  erase_superblocks();
  CheckOptions options = healing();
  options.search = true;
  EXPECT_TRUE(repair(volume.device(), options).is_repaired());
  EXPECT_EQ(ImageEditor(volume.device()).layout().log().count * ImageEditor(volume.device()).layout().block_size(),
            log_bytes);
  expect_all();
}

INSTANTIATE_TEST_SUITE_P(Cases, Grown, ::testing::ValuesIn(kCases),
                         [](const ::testing::TestParamInfo<Case>& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace ashlar::fsck::testing
