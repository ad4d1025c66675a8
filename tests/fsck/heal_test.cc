// One bad copy of anything that has two: found, healed when that is asked for, and nothing lost.
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/metadata_places.h"

namespace ashlar::fsck::testing {
namespace {

struct Copy {
  std::uint64_t offset = 0;
  std::string name;
};

// Both copies of all metadata in use: the first ones, then the second ones.
std::vector<Copy> metadata_copies(ImageEditor& image) {
  std::vector<Copy> copies;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    for (const MetadataPiece& piece : metadata_pieces(image)) copies.push_back({piece.offsets[copy], piece.name});
  }
  return copies;
}

CheckOptions healing_only() {
  CheckOptions options;
  options.heal = true;
  return options;
}

TEST(Heal, EveryCopyInTurn) {
  SampleVolume sample;
  ImageEditor image(sample.device());
  const std::vector<Copy> copies = metadata_copies(image);
  ASSERT_GT(copies.size(), 40U);
  for (const Copy& copy : copies) {
    SCOPED_TRACE(copy.name + " at " + std::to_string(copy.offset));
    const std::vector<std::byte> good = image.read_at(copy.offset, format::kMinBlockSize);
    image.damage_at(copy.offset);

    const Report seen = check(sample.device());
    EXPECT_FALSE(seen.is_clean());
    EXPECT_FALSE(seen.is_repaired());
    EXPECT_EQ(seen.total(), 1U);
    EXPECT_EQ(kind_of(seen.findings().front().id).severity, Severity::healable);

    const Report healed = check(sample.device(), healing_only());
    EXPECT_TRUE(healed.is_repaired());
    EXPECT_EQ(names_of(healed), names_of(seen));
    EXPECT_EQ(image.read_at(copy.offset, format::kMinBlockSize), good);
    EXPECT_EQ(check(sample.device()).total(), 0U);
  }
}

TEST(Heal, AllFirstCopiesAtOnce) {
  SampleVolume sample;
  ImageEditor image(sample.device());
  const std::vector<Copy> copies = metadata_copies(image);
  for (std::size_t i = 0; i < copies.size() / 2; ++i) image.damage_at(copies[i].offset);
  const Report healed = check(sample.device(), healing_only());
  EXPECT_TRUE(healed.is_repaired());
  EXPECT_EQ(healed.total(), copies.size() / 2);
  EXPECT_EQ(check(sample.device()).total(), 0U);
  sample.rig.mount();
  EXPECT_TRUE(volume::testing::same(sample.rig.read(sample.file, 0, 8 * sample.rig.block_size()),
                                    volume::testing::pattern(8 * sample.rig.block_size(), 1)));
  sample.rig.check();
}

// A parent that names another place for the first copy of a node, which is otherwise sound.
TEST(Heal, NothingIsWrittenWhereANodeCannotLie) {
  const auto places = [](const format::Layout& layout, const format::NodePointer& node) {
    return std::vector<BlockNumber>{BlockNumber{1}, layout.log().first, layout.bitmap_block(0, 0, 0),
                                    node.address[1] + 1};
  };
  for (std::size_t i = 0; i < 4; ++i) {
    SCOPED_TRACE(i);
    SampleVolume sample(volume::testing::kLargeNodes);
    ImageEditor image(sample.device());
    NodePath path = image.leaves().back();
    const format::NodePointer pointer = image.pointer_to(path);
    const BlockNumber bad = places(image.layout(), pointer)[i];
    std::vector<std::byte> node = image.read_node(pointer);
    auto& header = *reinterpret_cast<format::NodeHeader*>(node.data());
    header.address[0] = bad.value();
    format::seal_node(node);
    image.write_at(image.layout().byte_offset(pointer.address[1]), node);
    const std::size_t index = path.back();
    path.pop_back();
    image.edit_node(path, [&](std::span<std::byte> parent) {
      auto* const entries = reinterpret_cast<format::InternalEntry*>(parent.data() + sizeof header);
      entries[index].address[0] = bad.value();
      entries[index].crc = header.crc;
    });
    const std::uint64_t offset = image.layout().byte_offset(bad);
    const std::vector<std::byte> before = image.read_at(offset, node.size());
    const Report report = check(sample.device(), healing_only());
    EXPECT_TRUE(report.has(FindingId::node_copy_bad));
    EXPECT_FALSE(report.is_repaired());
    EXPECT_TRUE(image.read_at(offset, node.size()) == before);
  }
}

// Makes a leaf say that its second copy lies somewhere else, where it does not.
void point_copy_at(ImageEditor& image, const NodePath& leaf, BlockNumber place) {
  image.edit_node(leaf, [place](std::span<std::byte> node) {
    reinterpret_cast<format::NodeHeader*>(node.data())->address[1] = place.value();
  });
  const std::span<const std::size_t> above = std::span(leaf).first(leaf.size() - 1);
  image.edit_node({above.begin(), above.end()}, [&](std::span<std::byte> parent) {
    auto* const entries = reinterpret_cast<format::InternalEntry*>(parent.data() + sizeof(format::NodeHeader));
    entries[leaf.back()].address[1] = place.value();
  });
}

// A pointer may lead to what is not the tree's: nothing is written there.
TEST(Heal, NothingThatBelongsToAnother) {
  DamagedVolume sample;
  format::ExtentItem first;
  format::ExtentItem last;
  sample.edit_items([&](ItemEditor& items) {
    first = items.first_extent(sample.file);
    last = items.first_extent(sample.sparse);
  });
  const blockio::MemoryImage pristine = sample.device().snapshot();
  ImageEditor image(sample.device());
  const std::vector<NodePath> leaves = image.leaves();
  const std::uint64_t block_size = image.layout().block_size();
  const std::vector<BlockNumber> targets = {
      BlockNumber{format::superblock_offset(0, 0) / block_size},
      BlockNumber{format::superblock_offset(1, 1) / block_size},
      image.bitmap_block(0, 0),
      image.layout().group_table_block(0, image.table_slot(0), 0),
      image.layout().log().first,
      BlockNumber{first.physical},
      BlockNumber{last.physical},
      image.pointer_to(leaves[1]).address[0],
  };
  // Whose blocks are known to be someone else's before the walk comes to the pointer, and only after.
  for (const NodePath& leaf : {leaves.front(), leaves.back()}) {
    for (const BlockNumber target : targets) {
      SCOPED_TRACE(std::to_string(leaf.back()) + " at " + std::to_string(target.value()));
      sample.device().restore(pristine);
      ImageEditor editor(sample.device());
      point_copy_at(editor, leaf, target);
      const std::vector<std::byte> before = editor.read_at(target.value() * block_size, block_size);
      EXPECT_FALSE(check(sample.device(), healing_only()).is_repaired());
      EXPECT_EQ(editor.read_at(target.value() * block_size, block_size), before);
    }
  }
}

TEST(Heal, NotWhatIsLeft) {
  SampleVolume sample;
  ImageEditor image(sample.device());
  image.damage_block(image.pointer_to(image.leaves().front()).address[1]);
  image.damage_block(image.bitmap_block(0, 1));
  CheckOptions options = healing_only();
  options.leave = {FindingId::node_copy_bad};
  EXPECT_FALSE(check(sample.device(), options).is_repaired());
  EXPECT_EQ(names_of(check(sample.device())), Names{"node_copy_bad"});
}

TEST(Heal, TheMarkOfADaemonThatHadToStopIsTakenAway) {
  SampleVolume sample;
  ImageEditor image(sample.device());
  const auto io = sample.device().open_queue({});
  ASSERT_TRUE(io);
  format::note_failure(image.superblock, 1, "a reason");
  image.write_superblock();
  const Result<bool> before = is_marked_clean(sample.device(), **io);
  ASSERT_TRUE(before);
  EXPECT_FALSE(*before);
  ASSERT_TRUE(check(sample.device()).is_clean());
  ASSERT_TRUE(clear_error_mark(sample.device(), **io));
  const Result<bool> after = is_marked_clean(sample.device(), **io);
  ASSERT_TRUE(after);
  EXPECT_TRUE(*after);
  EXPECT_EQ(ImageEditor(sample.device()).superblock.failure_count, 0U);
  EXPECT_EQ(check(sample.device()).total(), 0U);
}

}  // namespace
}  // namespace ashlar::fsck::testing
