// Volumes whose superblocks are gone: found again by what else is on the device.
#include <gmock/gmock.h>

#include <array>
#include <cstring>
#include <random>

#include "blockio/recording_device.h"
#include "fs/store/superblock_io.h"
#include "fsck/repair.h"
#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

CheckOptions options(bool search) {
  CheckOptions options;
  options.heal = true;
  options.search = search;
  return options;
}

void erase_superblocks(blockio::BlockDevice& device) {
  const auto io = device.open_queue({});
  blockio::AlignedBuffer zeros(format::kSuperblockSize);
  for (std::size_t i = 0; i < format::kSuperblockSlots * format::kCopies; ++i) {
    blockio::IoOp write =
        blockio::IoOp::write(format::superblock_offset(i / format::kCopies, i % format::kCopies), zeros.span());
    EXPECT_TRUE((*io)->run(write));
  }
}

void repair(blockio::BlockDevice& device) {
  const auto io = device.open_queue({});
  const Result<Report> found = check_volume(device, **io, options(true));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_TRUE(found->has(FindingId::no_superblock));
  Report report = check(device, options(true));
  const Status repaired = repair_volume(device, **io, options(true), report);
  ASSERT_TRUE(repaired) << repaired.error().message();
  EXPECT_TRUE(report.is_repaired());
  EXPECT_EQ(check(device).total(), 0U);
}

class Search : public ::testing::TestWithParam<Geometry> {};

INSTANTIATE_TEST_SUITE_P(Geometries, Search,
                         ::testing::Values(volume::testing::kSmallNodes, volume::testing::kMiddleNodes,
                                           volume::testing::kLargeNodes));

TEST_P(Search, EverySuperblockErased) {
  DamagedVolume volume{GetParam()};
  erase_superblocks(volume.device());
  const auto io = volume.device().open_queue({});
  const Result<Report> without = check_volume(volume.device(), **io, options(false));
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code(), ErrorCode::not_a_volume);
  repair(volume.device());
  volume.expect_undamaged({});
  // Nothing went to lost+found; attributes are where the new seed says.
  Rig& rig = volume.rig;
  rig.mount();
  EXPECT_THAT(rig.names(kRootInode), ::testing::Not(::testing::Contains("lost+found")));
  EXPECT_EQ(rig.names(volume.right).size(), 101U);
  const auto value = rig.volume().get_xattr(rig.context(), volume.xattr_owner, "user.large");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->size(), 20'000U);
  rig.check();
  rig.unmount();
}

TEST_P(Search, TheLogIsFoundToo) {
  DamagedVolume volume{GetParam()};
  Rig& rig = volume.rig;
  rig.mount();
  const InodeNumber added = rig.make_file(volume.left, "in the log");
  rig.write(added, 0, volume::testing::pattern(20'000, 77));
  EXPECT_TRUE(rig.volume().unlink(rig.context(), volume.directory, "fifo"));
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  erase_superblocks(volume.device());
  repair(volume.device());
  volume.expect_undamaged({"fifo"});
  rig.mount();
  EXPECT_TRUE(volume::testing::same(rig.read(added, 0, 30'000), volume::testing::pattern(20'000, 77)));
  EXPECT_EQ(rig.find(volume.left, "in the log"), added);
  EXPECT_THAT(rig.names(volume.directory), ::testing::Not(::testing::Contains("fifo")));
  // No number is given out again.
  EXPECT_GT(rig.make_file(volume.left, "new").value(), added.value());
  rig.unmount();
}

// The newest superblock is gone, and the tree that the older one leads to has been written over.
TEST_P(Search, TheNewerOfTwoSlotsIsLost) {
  DamagedVolume volume{GetParam()};
  Rig& rig = volume.rig;
  const std::vector<std::uint8_t> uuid(16, 0xee);
  {
    const auto io = volume.device().open_queue({});
    Result<store::ClaimedVolume> claimed = store::claim_volume(volume.device().geometry(), **io, {});
    ASSERT_TRUE(claimed);
    format::set_shown_uuid(claimed->superblock, std::span<const std::uint8_t, 16>(uuid));
    ASSERT_TRUE(store::rewrite_superblock(**io, claimed->superblock));
  }
  rig.mount();
  for (int round = 0; round < 3; ++round) {
    rig.write(volume.small, 0, volume::testing::pattern(50'000, static_cast<unsigned>(round)));
    rig.make_file(volume.left, "added " + std::to_string(round));
    EXPECT_TRUE(rig.volume().store().checkpoint(rig.io()));
  }
  rig.unmount();
  ImageEditor newest(volume.device());
  for (std::size_t copy = 0; copy < format::kCopies; ++copy)
    newest.damage_at(format::superblock_offset(newest.superblock.generation % format::kSuperblockSlots, copy));
  ImageEditor older(volume.device());
  ASSERT_LT(older.superblock.generation, newest.superblock.generation);
  for (const BlockNumber address : format::load(older.superblock.root).address) older.damage_block(address);
  // A log that has come round since.
  const std::vector<std::byte> zeros(64U << 10);
  older.write_at(older.layout().byte_offset(older.layout().log().first), zeros);

  const auto io = volume.device().open_queue({});
  Report report = check(volume.device(), options(false));
  EXPECT_THAT(names_of(report), ::testing::IsSupersetOf({"superblock_slot_lost", "node_lost"}));
  const Status repaired = repair_volume(volume.device(), **io, options(false), report);
  ASSERT_TRUE(repaired) << repaired.error().message();
  EXPECT_EQ(check(volume.device()).total(), 0U);
  volume.expect_undamaged({"small"});
  const ImageEditor repaired_image(volume.device());
  EXPECT_THAT(format::shown_uuid(repaired_image.superblock), ::testing::ElementsAreArray(uuid));
  rig.mount();
  EXPECT_EQ(rig.names(volume.left).size(), 3U);
  EXPECT_TRUE(volume::testing::same(rig.read(volume.small, 0, 60'000), volume::testing::pattern(50'000, 2)));
  rig.unmount();
}

// Both copies of the root besides: what is below it is found.
TEST_P(Search, TheRootIsLostAsWell) {
  DamagedVolume volume{GetParam()};
  {
    ImageEditor image(volume.device());
    for (const BlockNumber address : format::load(image.superblock.root).address) image.damage_block(address);
  }
  erase_superblocks(volume.device());
  repair(volume.device());
  volume.expect_undamaged({});
}

// As far as a log can have come round.
TEST_P(Search, ALogThatHasComeRoundAnyNumberOfTimes) {
  DamagedVolume volume{GetParam()};
  {
    ImageEditor image(volume.device());
    image.superblock.log_start = (1ULL << 62) - image.superblock.log_blocks * image.superblock.block_size;
    image.write_superblock();
    image.write_log_record({}, 0);
  }
  erase_superblocks(volume.device());
  repair(volume.device());
  volume.expect_undamaged({});
}

TEST(SearchOnOthers, NoTraceOfAVolume) {
  blockio::MemoryDevice device(64ULL << 20);
  const auto io = device.open_queue({});
  Report report = check(device, options(true));
  EXPECT_EQ(names_of(report), Names{"no_superblock"});
  const Status repaired = repair_volume(device, **io, options(true), report);
  ASSERT_FALSE(repaired);
  EXPECT_EQ(repaired.error().code(), ErrorCode::not_a_volume);
}

// Half of them say that they begin a table, the others how long it is, each something else.
TEST(SearchOnOthers, TracesOfMoreTablesThanThereCanBe) {
  constexpr std::uint32_t kBlock = format::kMinBlockSize;
  std::vector<std::byte> bytes(32U << 20);
  for (std::uint32_t i = 0; i < bytes.size() / kBlock; ++i) {
    const std::span<std::byte> block = std::span(bytes).subspan(std::size_t{i} * kBlock, kBlock);
    format::GroupTableHeader header{};
    header.magic = format::kGroupTableMagic;
    header.uuid[0] = 1;
    header.generation = 1 + i;
    header.index = i % 2 == 0 ? 0 : i;
    header.count = 1;
    std::memcpy(block.data(), &header, sizeof header);
    format::seal_group_table_block(block);
  }
  blockio::MemoryDevice device(bytes.size());
  blockio::MemoryImage image = device.snapshot();
  image.write(0, bytes);
  device.restore(image);
  const auto io = device.open_queue({});
  Report report = check(device, options(true));
  const Status repaired = repair_volume(device, **io, options(true), report);
  EXPECT_FALSE(repaired);
}

TEST(SearchOnOthers, APowerCutInTheMiddle) {
  DamagedVolume volume;
  erase_superblocks(volume.device());
  blockio::RecordingDevice recording(volume.device().snapshot());
  repair(recording);
  std::mt19937_64 random(12);
  // The search reads much, so not at every one of its events.
  for (std::size_t events = 0; events <= recording.event_count(); events += 1 + recording.event_count() / 25) {
    SCOPED_TRACE(events);
    volume.device().restore(recording.after_power_cut(events, &random));
    const auto io = volume.device().open_queue({});
    Report report = check(volume.device(), options(true));
    if (!report.is_repaired()) {
      const Status repaired = repair_volume(volume.device(), **io, options(true), report);
      ASSERT_TRUE(repaired) << repaired.error().message();
    }
    EXPECT_TRUE(check(volume.device()).is_clean());
  }
  volume.expect_undamaged({});
}

}  // namespace
}  // namespace ashlar::fsck::testing
