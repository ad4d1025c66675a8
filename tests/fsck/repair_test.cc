// Repairs of what is worse than a contradiction, and power cuts while they are made.
#include <gmock/gmock.h>

#include <random>

#include "blockio/recording_device.h"
#include "fsck/repair.h"
#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

CheckOptions healing() {
  CheckOptions options;
  options.heal = true;
  return options;
}

// As `fsck -y` does.
Report repair(blockio::BlockDevice& device) {
  const auto io = device.open_queue({});
  EXPECT_TRUE(io);
  Report report = check(device, healing());
  if (report.is_repaired()) return report;
  const Status repaired = repair_volume(device, **io, healing(), report);
  EXPECT_TRUE(repaired) << repaired.error().message();
  return report;
}

void expect_clean(blockio::BlockDevice& device) {
  const Report report = check(device);
  EXPECT_TRUE(report.is_clean()) << report.findings().front().text;
}

// Both copies of each node in turn: what is left is a volume, and only what was in that node is lost.
TEST(Repair, EveryNodeLostInTurn) {
  DamagedVolume volume;
  const blockio::MemoryImage pristine = volume.device().snapshot();
  const std::vector<NodePath> nodes = ImageEditor(volume.device()).nodes();
  ASSERT_GT(nodes.size(), 15U);
  for (const NodePath& path : nodes) {
    volume.device().restore(pristine);
    ImageEditor image(volume.device());
    const format::NodePointer pointer = image.pointer_to(path);
    SCOPED_TRACE("level " + std::to_string(pointer.level) + " at " + std::to_string(pointer.address[0].value()));
    for (const BlockNumber address : pointer.address) image.damage_block(address);
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    expect_clean(volume.device());
    // Of a node that only leads to others nothing is lost: they are found.
    if (pointer.level != 0) volume.expect_undamaged({});
  }
}

TEST(Repair, UnreachableFilesAreInLostAndFound) {
  DamagedVolume volume;
  volume.edit_items([&](ItemEditor& items) {
    items.remove_name(volume.directory, "small");
    items.remove_name(volume.directory, "right");
  });
  EXPECT_TRUE(repair(volume.device()).is_repaired());
  volume.rig.mount();
  const InodeNumber lost_found = volume.rig.find(kRootInode, "lost+found");
  EXPECT_THAT(volume.rig.names(lost_found),
              ::testing::UnorderedElementsAre("#" + std::to_string(volume.small.value()),
                                              "#" + std::to_string(volume.right.value())));
  EXPECT_EQ(volume.rig.names(volume.right).size(), 101U);
  EXPECT_EQ(volume.rig.find(volume.right, ".."), lost_found);
  volume.rig.check();
  volume.rig.unmount();

  // Another time the same directory is used.
  volume.edit_items([&](ItemEditor& items) { items.remove_name(volume.directory, "other"); });
  EXPECT_TRUE(repair(volume.device()).is_repaired());
  volume.expect_undamaged({});
  volume.rig.mount();
  EXPECT_EQ(volume.rig.names(lost_found).size(), 3U);
  volume.rig.unmount();
}

TEST(Repair, TheLogIsNotLost) {
  DamagedVolume volume;
  volume.edit_items(
      [&](ItemEditor& items) { items.edit_inode(volume.file, [](format::InodeItem& item) { item.links = 9; }); });
  volume.rig.mount();
  const InodeNumber added = volume.rig.make_file(kRootInode, "in the log");
  volume.rig.write(added, 0, volume::testing::pattern(20'000, 77));
  EXPECT_TRUE(volume.rig.volume().sync_all(volume.rig.context()));
  volume.rig.crash();
  EXPECT_TRUE(repair(volume.device()).is_repaired());
  EXPECT_EQ(check(volume.device()).total(), 0U);
  volume.expect_undamaged({});
  volume.rig.mount();
  EXPECT_TRUE(volume::testing::same(volume.rig.read(added, 0, 30'000), volume::testing::pattern(20'000, 77)));
  volume.rig.unmount();
}

TEST(Repair, NoRoomForAnotherTree) {
  DamagedVolume volume{{16ULL << 20, 4096, 4096}};
  volume.rig.mount();
  const InodeNumber full = volume.rig.make_file(kRootInode, "full");
  const std::string data = volume::testing::pattern(64U << 10, 6);
  std::uint64_t offset = 0;
  while (volume.rig.volume().write(volume.rig.context(), full, offset, std::as_bytes(std::span(data)), false))
    offset += data.size();
  volume.rig.unmount();
  // What is kept free for metadata is enough for the tree of so small a volume.
  volume.edit_items(
      [&](ItemEditor& items) { items.edit_inode(volume.file, [](format::InodeItem& item) { item.links = 9; }); });
  const auto io = volume.device().open_queue({});
  ASSERT_TRUE(io);
  const Status repaired = rebuild_volume(volume.device(), **io);
  if (!repaired) {
    EXPECT_EQ(repaired.error().code(), ErrorCode::no_space);
    EXPECT_EQ(names_of(check(volume.device())), Names{"link_count_wrong"});
  } else {
    expect_clean(volume.device());
  }
}

class PowerCut : public ::testing::TestWithParam<FindingId> {};

INSTANTIATE_TEST_SUITE_P(Findings, PowerCut,
                         ::testing::Values(FindingId::link_count_wrong, FindingId::node_lost, FindingId::bitmap_lost,
                                           FindingId::unreachable, FindingId::blocks_leaked, FindingId::node_copy_bad),
                         [](const auto& param) { return std::string(kind_of(param.param).name); });

// At every write of the repair, with what was not flushed there, lost or torn: another run repairs it.
TEST_P(PowerCut, AnotherRunRepairsIt) {
  DamagedVolume volume;
  for (const std::vector<DamageCase>& some : {structure_cases(), item_cases()}) {
    for (const DamageCase& damage : some) {
      if (damage.id == GetParam()) damage.damage(volume);
    }
  }
  blockio::RecordingDevice recording(volume.device().snapshot());
  EXPECT_TRUE(repair(recording).is_repaired());
  std::mt19937_64 random(11);
  for (std::size_t events = 0; events <= recording.event_count(); ++events) {
    SCOPED_TRACE(std::to_string(events) + " of " + std::to_string(recording.event_count()) + " events");
    volume.device().restore(recording.after_power_cut(events, &random));
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    expect_clean(volume.device());
  }
  volume.expect_undamaged(GetParam() == FindingId::node_lost ? Names{"sparse"} : Names{});
}

}  // namespace
}  // namespace ashlar::fsck::testing
