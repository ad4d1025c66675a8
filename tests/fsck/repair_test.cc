// Repairs of what is worse than a contradiction, and power cuts while they are made.
#include <gmock/gmock.h>

#include <random>

#include "blockio/recording_device.h"
#include "tests/crash/budget.h"
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/repairing.h"

namespace ashlar::fsck::testing {
namespace {

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

// Of a table whose checksums are right.
TEST(Repair, EntriesThatAMountRefuses) {
  const auto entry_of = [](std::span<std::byte> block) -> format::GroupEntry& {
    return *reinterpret_cast<format::GroupEntry*>(block.data() + sizeof(format::GroupTableHeader));
  };
  const EditBytes edits[] = {
      [](std::span<std::byte> block) {
        auto& header = *reinterpret_cast<format::GroupTableHeader*>(block.data());
        header.count = header.count + 1;
      },
      [&](std::span<std::byte> block) { entry_of(block).flags = entry_of(block).flags | 4; },
      [&](std::span<std::byte> block) { entry_of(block).generation = ~0ULL; },
  };
  for (const EditBytes& edit : edits) {
    DamagedVolume volume;
    volume.edit_image([&](ImageEditor& image) { image.edit_table_block(0, edit); });
    EXPECT_FALSE(volume.rig.try_mount());
    EXPECT_EQ(names_of(check(volume.device())), Names{"group_entry_bad"});
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    expect_clean(volume.device());
    volume.expect_undamaged({});
  }
}

TEST(Repair, WithoutANumberForLostAndFound) {
  DamagedVolume volume;
  volume.edit_items([&](ItemEditor& items) { items.remove_name(volume.directory, "small"); });
  volume.edit_image([](ImageEditor& image) {
    image.superblock.next_inode = format::kInodeNumberLimit;
    image.write_superblock();
  });
  EXPECT_TRUE(repair(volume.device()).is_repaired());
  expect_clean(volume.device());
  volume.rig.mount();
  EXPECT_EQ(volume.rig.find(kRootInode, "#" + std::to_string(volume.small.value())), volume.small);
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
  const Result<Rebuilt> repaired = rebuild_volume(volume.device(), **io);
  if (!repaired) {
    EXPECT_EQ(repaired.error().code(), ErrorCode::no_space);
    EXPECT_EQ(names_of(check(volume.device())), Names{"link_count_wrong"});
  } else {
    expect_clean(volume.device());
  }
}

void damage_by(DamagedVolume& volume, FindingId id) {
  for (const std::vector<DamageCase>& some : {structure_cases(), item_cases()}) {
    for (const DamageCase& damage : some) {
      if (damage.id == id) damage.damage(volume);
    }
  }
}

// Where nothing tells what of a group is in use, what is lost is looked for in all of it.
TEST(Repair, ANodeLostWithTheGroupTable) {
  DamagedVolume volume;
  volume.edit_image([](ImageEditor& image) {
    ASSERT_GT(image.superblock.root.level, 0U);
    for (const BlockNumber address : image.pointer_to({}).address) image.damage_block(address);
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      for (std::size_t copy = 0; copy < format::kCopies; ++copy)
        image.damage_block(image.layout().group_table_block(0, slot, copy));
    }
  });
  EXPECT_TRUE(repair(volume.device()).is_repaired());
  volume.expect_undamaged({});
}

TEST(Repair, WhatIsLostForGoodIsSaid) {
  DamagedVolume volume;
  damage_by(volume, FindingId::node_lost);
  const Report report = repair(volume.device());
  EXPECT_TRUE(report.is_repaired());
  const auto text_of = [&report](FindingId id) {
    std::string text;
    for (const Finding& finding : report.findings()) {
      if (finding.id != id) continue;
      const std::string* const path = report.path_of(finding);
      text += finding.text + (path == nullptr ? "" : " " + *path) + "\n";
    }
    return text;
  };
  const std::string inode = "inode " + std::to_string(volume.sparse.value());
  EXPECT_THAT(text_of(FindingId::node_lost), ::testing::HasSubstr(", of " + inode + ": no good copy"));
  EXPECT_THAT(text_of(FindingId::contents_lost), ::testing::StartsWith(inode + ": "));
  EXPECT_THAT(text_of(FindingId::contents_lost), ::testing::EndsWith(" /d/sparse\n"));
  EXPECT_THAT(text_of(FindingId::contents_given_up),
              ::testing::MatchesRegex(inode + ": lost for good: [0-9]+ blocks, which read as zeros /d/sparse\n"));
}

// Where only what is counted is wrong the tree stays where it is, so no room is needed for another.
TEST(Repair, TheTreeStaysWhereItIsSound) {
  for (const FindingId id :
       {FindingId::group_table_block_lost, FindingId::group_table_unproven, FindingId::bitmap_lost,
        FindingId::group_free_count_wrong, FindingId::free_count_wrong, FindingId::node_count_wrong,
        FindingId::item_count_wrong, FindingId::blocks_leaked, FindingId::blocks_not_marked}) {
    SCOPED_TRACE(kind_of(id).name);
    DamagedVolume volume;
    damage_by(volume, id);
    const auto before = ImageEditor(volume.device()).superblock;
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    const auto after = ImageEditor(volume.device()).superblock;
    EXPECT_EQ(format::load(after.root), format::load(before.root));
    EXPECT_GT(after.generation, before.generation);
    volume.expect_undamaged({});
  }
}

TEST(Repair, WithoutRoomNothingIsChanged) {
  DamagedVolume volume;
  own_all_free_blocks(volume);
  const Report before = check(volume.device());
  EXPECT_TRUE(before.takes(Repair::rebuild));
  Report report = before;
  const auto io = volume.device().open_queue({});
  ASSERT_TRUE(io);
  const Status repaired = repair_volume(volume.device(), **io, healing(), report);
  ASSERT_FALSE(repaired);
  EXPECT_EQ(repaired.error().code(), ErrorCode::no_space);
  EXPECT_FALSE(report.is_repaired());
  EXPECT_EQ(check(volume.device()).total(), before.total());
}

// By its user, at every moment when it can be.
TEST(Repair, IsEndedAnywhere) {
  DamagedVolume volume;
  damage_by(volume, FindingId::node_lost);
  const blockio::MemoryImage damaged = volume.device().snapshot();
  const auto io = volume.device().open_queue({});
  ASSERT_TRUE(io);
  unsigned ended = 0;
  for (bool done = false; !done; ++ended) {
    volume.device().restore(damaged);
    Report report = check(volume.device());
    unsigned calls = 0;
    double told = 0;
    CheckOptions options = healing();
    options.progress = [&](Pass pass, double part) {
      EXPECT_GE(part, pass == Pass::repair ? told : 0);
      told = pass == Pass::repair ? part : 0;
      if (pass != Pass::repair) return true;
      return calls++ < ended;
    };
    const Status repaired = repair_volume(volume.device(), **io, options, report);
    done = repaired.has_value();
    if (done) continue;
    EXPECT_EQ(repaired.error().code(), ErrorCode::cancelled);
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    expect_clean(volume.device());
  }
  EXPECT_GT(ended, 4U);
}

std::vector<DamageCase> cases_with_repairs() {
  return cases_repaired_by([](Repair repair) { return repair != Repair::none && repair != Repair::impossible; });
}

class PowerCut : public ::testing::TestWithParam<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(Findings, PowerCut, ::testing::Range(std::size_t{0}, cases_with_repairs().size()),
                         [](const auto& tested) {
                           return std::string(kind_of(cases_with_repairs()[tested.param].id).name);
                         });

// Every write is gone through by a few cases that write all there is to write; of the others so many moments that all
// cases together take some seconds.
std::size_t stride_of(const DamageCase& damage, std::size_t events) {
  constexpr std::size_t kMoments = 4;
  const bool all = damage.id == FindingId::link_count_wrong || damage.id == FindingId::node_copy_bad ||
                   damage.id == FindingId::bitmap_lost;
  return all && !crash_test::kSanitized ? 1 : std::max<std::size_t>(1, events / kMoments);
}

// At the writes of the repair, with what was not flushed there, lost or torn: another run repairs it.
TEST_P(PowerCut, AnotherRunRepairsIt) {
  const DamageCase damage = cases_with_repairs()[GetParam()];
  DamagedVolume volume{damage.geometry};
  damage.damage(volume);
  blockio::RecordingDevice recording(volume.device().snapshot());
  EXPECT_TRUE(repair(recording).is_repaired());
  std::mt19937_64 random(11);
  const std::size_t count = recording.event_count();
  // The last moments, when the superblock is switched, in any case.
  constexpr std::size_t kLastMoments = 4;
  const std::size_t stride = stride_of(damage, count);
  for (std::size_t events = 0; events <= count;
       events = events + kLastMoments < count ? std::min(events + stride, count - kLastMoments) : events + 1) {
    SCOPED_TRACE(std::to_string(events) + " of " + std::to_string(count) + " events");
    volume.device().restore(recording.after_power_cut(events, &random));
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    expect_clean(volume.device());
  }
  volume.expect_undamaged(damage.harmed);
}

}  // namespace
}  // namespace ashlar::fsck::testing
