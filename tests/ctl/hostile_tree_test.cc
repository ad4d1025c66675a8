// Trees that are valid node by node and would take for ever to walk.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "fs/ctl/tree_reader.h"
#include "tests/fsck/image_editor.h"
#include "tests/fsck/sample_volume.h"
#include "tests/fsck/save_image.h"

namespace ashlar::ctl {
namespace {

using ashlar::testing::Scratch;
using fsck::testing::ImageEditor;
using fsck::testing::SampleVolume;
using fsck::testing::save_image;

constexpr std::uint64_t kInode = 1'000'000;  // no other has items behind it
constexpr std::uint8_t kHeight = 7;

// At the place of `place`: a node of the level whose entries, with keys of kInode, all lead to `child`, as many as fit
// or `count`.
format::NodePointer write_internal(ImageEditor& image, format::NodePointer place, std::uint8_t level,
                                   const format::NodePointer& child, std::uint32_t count) {
  std::vector<std::byte> node(image.superblock.node_size);
  auto& header = *reinterpret_cast<format::NodeHeader*>(node.data());
  header.magic = format::kNodeMagic;
  std::memcpy(header.uuid, image.superblock.uuid, sizeof header.uuid);
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) header.address[copy] = place.address[copy].value();
  header.generation = image.superblock.generation;
  header.level = level;
  header.count = static_cast<std::uint16_t>(count);
  auto* entry = reinterpret_cast<format::InternalEntry*>(node.data() + sizeof header);
  for (std::uint32_t i = 0; i < count; ++i, ++entry) {
    entry->inode = kInode;
    entry->offset = i;
    entry->kind = 1;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) entry->address[copy] = child.address[copy].value();
    entry->generation = child.generation.value();
    entry->crc = child.crc;
  }
  format::seal_node(node);
  for (const BlockNumber address : place.address) image.write_at(image.layout().byte_offset(address), node);
  place.generation = Generation{image.superblock.generation};
  place.level = level;
  place.crc = header.crc;
  return place;
}

// Every entry of every level leads to the one node of the next level.
Status scan_ladder(std::uint32_t entries) {
  SampleVolume sample;
  ImageEditor image(sample.device());
  const std::vector<fsck::testing::NodePath> leaves = image.leaves();
  EXPECT_GT(leaves.size(), std::size_t{kHeight});
  format::NodePointer below = image.pointer_to(leaves[0]);
  std::vector<format::NodePointer> places;
  for (std::uint8_t level = 1; level <= kHeight; ++level) places.push_back(image.pointer_to(leaves[level]));
  for (std::uint8_t level = 1; level <= kHeight; ++level)
    below = write_internal(image, places[level - 1U], level, below, entries);
  image.superblock.root = format::store(below);
  image.write_superblock();

  const Scratch scratch;
  EXPECT_TRUE(scratch.ready());
  const auto reader = VolumeReader::open(save_image(scratch, "ladder.img", sample.device().snapshot()));
  EXPECT_TRUE(reader);
  const TreeReader tree(*reader, image.superblock);
  return tree.scan({InodeNumber{kInode}, format::ItemKind{0}, 0},
                   {InodeNumber{kInode}, format::ItemKind{0xff}, std::numeric_limits<std::uint64_t>::max()},
                   [](const format::Key&, std::span<const std::byte>) { return true; });
}

TEST(HostileTree, ManyWaysToOneNodeAreNotAllWalked) {
  const Status scanned = scan_ladder(format::max_internal_entries(volume::testing::kMiddleNodes.node_size));
  ASSERT_FALSE(scanned);
  EXPECT_EQ(scanned.error().code(), ErrorCode::corrupt_structure);
}

TEST(HostileTree, AChainIsWalked) {
  const Status scanned = scan_ladder(1);
  EXPECT_TRUE(scanned) << scanned.error().message();
}

}  // namespace
}  // namespace ashlar::ctl
