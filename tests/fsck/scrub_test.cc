// Scrubbing a volume in use: all damage is found, metadata is healed, data is named, and nothing else changes.
#include <algorithm>

#include "fs/store/superblock_io.h"
#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

using volume::ScrubPosition;
using volume::ScrubStep;

struct Totals {
  std::uint64_t metadata_bytes = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t steps = 0;
  std::vector<store::MetadataFinding> metadata;
  std::vector<volume::DataFinding> data;
};

Totals scrub(Rig& rig, std::uint64_t budget = 1U << 20) {
  constexpr std::uint64_t kMostSteps = 1'000'000;
  blockio::AlignedBuffer buffer(64U << 10);
  Totals totals;
  ScrubPosition position;
  while (position.phase != ScrubPosition::Phase::done) {
    const Result<ScrubStep> step = rig.volume().scrub(rig.context(), position, budget, buffer.span());
    EXPECT_TRUE(step) << step.error().message();
    if (!step || ++totals.steps > kMostSteps) return totals;
    position = step->next;
    totals.metadata_bytes += step->metadata.bytes;
    totals.data_bytes += step->data_bytes;
    totals.metadata.insert(totals.metadata.end(), step->metadata.findings.begin(), step->metadata.findings.end());
    totals.data.insert(totals.data.end(), step->data.begin(), step->data.end());
  }
  return totals;
}

class Scrub : public ::testing::Test {
 protected:
  Scrub() { sample.rig.mount(); }
  ~Scrub() override { sample.rig.crash(); }

  [[nodiscard]] format::Superblock stored_superblock() {
    const auto superblock = store::read_superblock(sample.device().geometry(), sample.rig.io(), false);
    EXPECT_TRUE(superblock);
    return superblock ? *superblock : format::Superblock{};
  }

  // The byte offsets of both copies of everything that a scrub of metadata reads.
  static std::vector<std::uint64_t> metadata_offsets(ImageEditor& image) {
    std::vector<std::uint64_t> offsets;
    const format::Layout layout = image.layout();
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      offsets.push_back(format::superblock_offset(image.superblock.generation % format::kSuperblockSlots, copy));
      for (std::uint32_t i = 0; i < layout.group_table_blocks(); ++i) {
        offsets.push_back(layout.byte_offset(layout.group_table_block(i, image.table_slot(i), copy)));
      }
      for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
        if ((image.group_entry(group).flags & format::kGroupInitialised) != 0) {
          offsets.push_back(layout.byte_offset(image.bitmap_block(group, copy)));
        }
      }
      for (const NodePath& path : image.nodes()) {
        offsets.push_back(layout.byte_offset(image.pointer_to(path).address[copy]));
      }
    }
    return offsets;
  }

  // Where a file's first block lies.
  [[nodiscard]] std::uint64_t first_block_offset(ImageEditor& image, InodeNumber inode) {
    for (const NodePath& path : image.leaves()) {
      const std::vector<std::byte> node = image.read_node(image.pointer_to(path));
      for (const format::LeafItem& item : format::leaf_items(node)) {
        const format::Key key = format::key_of(item);
        if (key != format::Key{inode, format::ItemKind::extent, 0}) continue;
        const auto extent = format::parse_extent(key, format::value_of(node, item), image.layout().block_count());
        EXPECT_TRUE(extent);
        return image.layout().byte_offset(extent->physical);
      }
    }
    ADD_FAILURE() << "no extent";
    return 0;
  }

  SampleVolume sample;
};

TEST_F(Scrub, ASoundVolumeIsReadWholeWhateverTheSteps) {
  ImageEditor image(sample.device());
  const Totals at_once = scrub(sample.rig, ~0ULL);
  EXPECT_TRUE(at_once.metadata.empty());
  EXPECT_TRUE(at_once.data.empty());
  EXPECT_EQ(at_once.steps, 1U);
  const std::uint64_t block = sample.rig.block_size();
  EXPECT_EQ(at_once.data_bytes, SampleVolume::kDataBlocks * block);
  const std::uint64_t nodes = image.nodes().size() * format::kCopies * image.superblock.node_size;
  EXPECT_GT(at_once.metadata_bytes, nodes);
  const Totals piecemeal = scrub(sample.rig, 0);
  EXPECT_GT(piecemeal.steps, SampleVolume::kSparseBlocks);
  EXPECT_EQ(piecemeal.data_bytes, at_once.data_bytes);
  EXPECT_TRUE(piecemeal.metadata.empty());
}

TEST_F(Scrub, EveryBadCopyIsHealed) {
  ImageEditor image(sample.device());
  const std::vector<std::uint64_t> offsets = metadata_offsets(image);
  ASSERT_GT(offsets.size(), 40U);
  for (const std::uint64_t offset : offsets) {
    SCOPED_TRACE(offset);
    const std::vector<std::byte> good = image.read_at(offset, format::kMinBlockSize);
    image.damage_at(offset);
    const Totals found = scrub(sample.rig);
    ASSERT_EQ(found.metadata.size(), 1U);
    EXPECT_EQ(found.metadata.front().offset, offset);
    EXPECT_TRUE(found.metadata.front().healed);
    EXPECT_FALSE(found.metadata.front().lost);
    EXPECT_EQ(image.read_at(offset, format::kMinBlockSize), good);
  }
  EXPECT_TRUE(scrub(sample.rig).metadata.empty());
  EXPECT_EQ(sample.rig.volume().store().stats().errors_here.metadata, offsets.size());
  sample.rig.remount();
  EXPECT_EQ(stored_superblock().metadata_errors, offsets.size());
  EXPECT_EQ(stored_superblock().metadata_healed, offsets.size());
  EXPECT_EQ(sample.rig.volume().store().stats().errors.metadata_healed, offsets.size());
  EXPECT_EQ(stored_superblock().flags & format::kHasErrors, 0U);
}

TEST_F(Scrub, ANodeWithoutGoodCopyIsToldAndTheRestIsStillRead) {
  ImageEditor image(sample.device());
  const NodePath path = leaf_of_extents(image, sample.sparse);
  const format::NodePointer pointer = image.pointer_to(path);
  for (const BlockNumber copy : pointer.address) image.damage_block(copy);
  // Not from memory.
  sample.rig.crash();
  sample.rig.mount();
  const std::uint64_t all = (8 + 8 + SampleVolume::kSparseBlocks) * sample.rig.block_size();
  const Totals found = scrub(sample.rig);
  ASSERT_EQ(found.metadata.size(), 2U);
  for (const store::MetadataFinding& finding : found.metadata) {
    EXPECT_TRUE(finding.lost);
    EXPECT_FALSE(finding.healed);
    EXPECT_LE(finding.first_inode, sample.sparse);
    EXPECT_GE(finding.last_inode, sample.sparse);
  }
  EXPECT_LT(found.data_bytes, all);
  EXPECT_GT(found.data_bytes, all / 2);
  ASSERT_TRUE(sample.rig.volume().store().checkpoint(sample.rig.io()));
  EXPECT_NE(stored_superblock().flags & format::kHasErrors, 0U);
}

TEST_F(Scrub, TheRestIsReadThoughASubtreeIsLost) {
  ImageEditor image(sample.device());
  // The root has children on two levels at least; its last one with leaves below leaves the first ones reachable.
  ASSERT_GE(image.pointer_to({}).level, 1);
  std::vector<NodePath> children = image.nodes();
  std::erase_if(children, [](const NodePath& path) { return path.size() != 1; });
  ASSERT_GE(children.size(), 2U);
  const format::NodePointer lost = image.pointer_to(children.back());
  for (const BlockNumber copy : lost.address) image.damage_block(copy);
  sample.rig.crash();
  sample.rig.mount();
  const Totals found = scrub(sample.rig);
  ASSERT_EQ(found.metadata.size(), 2U);
  EXPECT_TRUE(found.metadata.front().lost);
  EXPECT_EQ(found.metadata.front().last_inode, InodeNumber{~0ULL});
  EXPECT_GE(found.data_bytes, 8 * sample.rig.block_size());
}

TEST_F(Scrub, DamagedDataIsNamedAndCounted) {
  ImageEditor image(sample.device());
  const std::uint64_t block = sample.rig.block_size();
  const std::uint64_t at = first_block_offset(image, sample.file);
  for (const std::uint64_t which : {2U, 3U, 6U}) image.damage_at(at + which * block);
  const Totals found = scrub(sample.rig);
  EXPECT_TRUE(found.metadata.empty());
  ASSERT_EQ(found.data.size(), 2U);
  EXPECT_EQ(found.data[0].inode, sample.file);
  EXPECT_EQ(found.data[0].offset, 2 * block);
  EXPECT_EQ(found.data[0].length, 2 * block);
  EXPECT_EQ(found.data[0].why, ErrorCode::bad_checksum);
  EXPECT_EQ(found.data[1].offset, 6 * block);
  EXPECT_EQ(found.data[1].length, block);
  // Reading counts as well, and only what is damaged is refused.
  EXPECT_FALSE(sample.rig.try_read(sample.file, 2 * block, block));
  EXPECT_TRUE(sample.rig.try_read(sample.file, 4 * block, 2 * block));
  EXPECT_EQ(sample.rig.volume().store().stats().errors_here.data, 4U);
  sample.rig.remount();
  EXPECT_EQ(stored_superblock().data_errors, 4U);
  EXPECT_EQ(sample.rig.volume().store().stats().errors_here.data, 0U);
  EXPECT_EQ(sample.rig.volume().store().stats().errors.data, 4U);
}

TEST_F(Scrub, WhatChangedSinceTheCheckpointIsReadAsWell) {
  const std::uint64_t block = sample.rig.block_size();
  sample.rig.write(sample.other, 0, volume::testing::pattern(3 * block, 77));
  const InodeNumber fresh = sample.rig.make_file(sample.directory, "fresh");
  sample.rig.write(fresh, 0, volume::testing::pattern(5 * block, 78));
  const Totals found = scrub(sample.rig);
  EXPECT_TRUE(found.metadata.empty());
  EXPECT_TRUE(found.data.empty());
  EXPECT_EQ(found.data_bytes, (SampleVolume::kDataBlocks + 5) * block);
}

TEST_F(Scrub, AVolumeThatStoppedIsReadAndNotWritten) {
  ImageEditor image(sample.device());
  const std::uint64_t offset = image.layout().byte_offset(image.pointer_to({}).address[1]);
  image.damage_at(offset);
  const std::vector<std::byte> bad = image.read_at(offset, format::kMinBlockSize);
  sample.rig.volume().stop("a test");
  const Totals found = scrub(sample.rig);
  ASSERT_EQ(found.metadata.size(), 1U);
  EXPECT_FALSE(found.metadata.front().healed);
  EXPECT_FALSE(found.metadata.front().lost);
  EXPECT_EQ(image.read_at(offset, format::kMinBlockSize), bad);
}

TEST_F(Scrub, NoPositionIsBeyondHarm) {
  blockio::AlignedBuffer buffer(sample.rig.block_size());
  const std::uint64_t last = ~0ULL;
  for (const ScrubPosition& position :
       {ScrubPosition{ScrubPosition::Phase::fixed, last, {}},
        ScrubPosition{ScrubPosition::Phase::tree, last, format::kHighestKey},
        ScrubPosition{ScrubPosition::Phase::tree, 0, {sample.sparse, format::ItemKind::extent, 5}}}) {
    const auto step = sample.rig.volume().scrub(sample.rig.context(), position, last, buffer.span());
    ASSERT_TRUE(step);
    EXPECT_EQ(step->next.phase, ScrubPosition::Phase::done);
    EXPECT_TRUE(step->metadata.findings.empty());
    EXPECT_TRUE(step->data.empty());
  }
}

}  // namespace
}  // namespace ashlar::fsck::testing
