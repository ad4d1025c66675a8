// Nodes that are valid and lead to places where no node can be: read, and nothing written.
#include "fs/store/node_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "blockio/aligned_buffer.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

constexpr std::uint32_t kBlockSize = 4096;
constexpr std::uint32_t kNodeSize = 16384;
constexpr std::uint64_t kSpareBytes = 1U << 20;  // of the device, behind the volume

class NodeReaderTest : public ::testing::Test {
 protected:
  NodeReaderTest() {
    const blockio::MemoryImage small = formatted_image(kBlockSize, kNodeSize);
    blockio::MemoryImage image(kVolumeBytes + kSpareBytes);
    std::vector<std::byte> bytes(kVolumeBytes);
    small.read(0, bytes);
    image.write(0, bytes);
    // So that anything written shows.
    bytes.assign(kSpareBytes, std::byte{0x77});
    image.write(kVolumeBytes, bytes);
    device_.restore(image);
    io_ = open_queue(device_);
    std::memcpy(&superblock_, peek(format::superblock_offset(kSlot, 0), sizeof superblock_).data(), sizeof superblock_);
    good_ = BlockNumber{layout().block_count() - 100};
  }

  [[nodiscard]] format::Layout layout() const { return format::Layout::of(superblock_); }
  [[nodiscard]] std::vector<std::byte> peek(std::uint64_t offset, std::size_t size) const {
    std::vector<std::byte> bytes(size);
    device_.snapshot().read(offset, bytes);
    return bytes;
  }

  // A leaf without items of which copy `good` lies at good_ and the other is said to be at `bad`.
  format::NodePointer plant(BlockNumber bad, std::size_t good) {
    std::vector<std::byte> node(kNodeSize);
    format::NodePointer pointer;
    pointer.address[good] = good_;
    pointer.address[1 - good] = bad;
    pointer.generation = Generation{1};
    auto& header = *reinterpret_cast<format::NodeHeader*>(node.data());
    header.magic = format::kNodeMagic;
    std::memcpy(header.uuid, superblock_.uuid, sizeof header.uuid);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) header.address[copy] = pointer.address[copy].value();
    header.generation = 1;
    header.values_start = kNodeSize;
    format::seal_node(node);
    pointer.crc = header.crc;
    blockio::MemoryImage image = device_.snapshot();
    image.write(layout().byte_offset(good_), node);
    device_.restore(image);
    return pointer;
  }

  void expect_nothing_written(const format::NodePointer& pointer) {
    const std::vector<std::byte> before = peek(0, kVolumeBytes + kSpareBytes);
    const CurrentLayout volume(layout());
    NodeReader reader(volume, superblock_.uuid, true);
    blockio::AlignedBuffer image(kNodeSize);
    blockio::AlignedBuffer second(kNodeSize);
    static_cast<void>(reader.read(*io_, pointer, image.span()).has_value());
    static_cast<void>(reader.check_copies(*io_, pointer, image.span(), second.span()).any_good());
    EXPECT_EQ(reader.nodes_healed(), 0U);
    EXPECT_TRUE(peek(0, kVolumeBytes + kSpareBytes) == before);
  }

  static constexpr std::size_t kSlot = 1;  // mkfs makes generation 1

  blockio::MemoryDevice device_{kVolumeBytes + kSpareBytes};
  std::unique_ptr<blockio::IoQueue> io_;
  format::Superblock superblock_{};
  BlockNumber good_;
};

TEST_F(NodeReaderTest, ABadCopyIsRewritten) {
  const BlockNumber other{layout().block_count() - 4};  // the last place there is
  for (const std::size_t good : {0U, 1U}) {
    const format::NodePointer pointer = plant(other, good);
    const CurrentLayout volume(layout());
    NodeReader reader(volume, superblock_.uuid, true);
    blockio::AlignedBuffer image(kNodeSize);
    blockio::AlignedBuffer second(kNodeSize);
    EXPECT_TRUE(reader.check_copies(*io_, pointer, image.span(), second.span()).healed);
    EXPECT_EQ(peek(layout().byte_offset(other), kNodeSize), peek(layout().byte_offset(good_), kNodeSize));
  }
}

// Nobody needs those yet.
TEST_F(NodeReaderTest, ReadingAheadNeitherHealsNorCountsNorLeavesTheVolume) {
  const format::NodePointer whole = plant(BlockNumber{layout().block_count() - 4}, 0);
  format::NodePointer bad = whole;
  bad.address[0] = BlockNumber{layout().block_count() - 4};
  format::NodePointer outside = whole;
  outside.address[0] = BlockNumber{~0ULL};
  std::vector<blockio::AlignedBuffer> images;
  std::vector<NodeRead> reads;
  for (const format::NodePointer& pointer : {outside, whole, bad}) {
    images.emplace_back(kNodeSize);
    reads.push_back({pointer, images.back().span()});
  }
  const std::vector<std::byte> before = peek(0, kVolumeBytes + kSpareBytes);
  const CurrentLayout volume(layout());
  NodeReader reader(volume, superblock_.uuid, true);
  reader.read_ahead(*io_, reads);
  EXPECT_FALSE(reads[0].good);
  EXPECT_TRUE(reads[1].good);
  EXPECT_FALSE(reads[2].good);
  EXPECT_EQ(reader.bad_copies(), 0U);
  EXPECT_EQ(reader.nodes_lost(), 0U);
  EXPECT_TRUE(peek(0, kVolumeBytes + kSpareBytes) == before);
}

TEST_F(NodeReaderTest, NothingIsWrittenOutsideTheVolume) {
  const std::uint64_t blocks = layout().block_count();
  // The last but one is at byte 4096, the superblock, once multiplied.
  for (const std::uint64_t bad : std::initializer_list<std::uint64_t>{blocks, blocks + 5, blocks - 1, blocks - 3,
                                                                      ~0ULL / kBlockSize + 2, ~0ULL}) {
    for (const std::size_t good : {0U, 1U}) {
      SCOPED_TRACE(bad);
      expect_nothing_written(plant(BlockNumber{bad}, good));
    }
  }
}

TEST_F(NodeReaderTest, NothingIsWrittenOverFixedParts) {
  const format::Layout fixed = layout();
  for (const BlockNumber bad : {BlockNumber{0}, BlockNumber{1}, fixed.log().first, fixed.log().end() - 1,
                                fixed.bitmap_block(0, 0, 0), fixed.group_table_block(0, 0, 1)}) {
    for (const std::size_t good : {0U, 1U}) {
      SCOPED_TRACE(bad.value());
      expect_nothing_written(plant(bad, good));
    }
  }
}

TEST_F(NodeReaderTest, NothingIsWrittenOverTheGoodCopy) {
  for (const std::uint64_t distance : {1U, 2U, 3U}) {
    for (const std::size_t good : {0U, 1U}) {
      expect_nothing_written(plant(good_ + distance, good));
      expect_nothing_written(plant(BlockNumber{good_.value() - distance}, good));
    }
  }
}

}  // namespace
}  // namespace ashlar::store::testing
