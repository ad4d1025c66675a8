// What a repair remembers of items below lost nodes, against the plainest way to keep it.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "fs/format/node.h"
#include "fsck/salvaged_items.h"
#include "tests/volume/rig.h"

namespace ashlar::fsck {
namespace {

using format::ItemKind;
using format::Key;

constexpr std::uint32_t kBlockSize = 4096;
constexpr std::uint64_t kVolumeBytes = 16U << 20;

// Leaves with any keys in them, the newest first, on a device.
class SalvagedItemsTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  static constexpr std::size_t kLeaves = 40;

  SalvagedItemsTest() : device_(kVolumeBytes), io_(*device_.open_queue({})) {
    superblock_.block_size = superblock_.node_size = kBlockSize;
    items_->first = SalvageWindow(GetParam());
    items_->lost.add({Key{InodeNumber{3}, ItemKind::inode, 0}, Key{InodeNumber{9}, ItemKind::inode, 0}});
    items_->lost.add({Key{InodeNumber{12}, ItemKind::inode, 0}, std::nullopt});
    for (std::size_t i = 0; i < kLeaves; ++i) add_leaf(BlockNumber{100 + i});
  }

  // Each key once in a leaf; the value tells in which.
  void add_leaf(BlockNumber place) {
    std::map<Key, std::uint64_t> keys;
    const std::size_t count = 1 + random_() % 20;
    while (keys.size() < count)
      keys.emplace(Key{InodeNumber{random_() % 20}, ItemKind::extent, random_() % 5}, place.value());
    blockio::AlignedBuffer node(kBlockSize);
    std::memset(node.data(), 0, node.size());
    auto& header = *reinterpret_cast<format::NodeHeader*>(node.data());
    header.magic = format::kNodeMagic;
    header.generation = 1;
    header.count = static_cast<std::uint16_t>(keys.size());
    header.address[0] = place.value();
    header.address[1] = place.value() + 1000;
    std::uint32_t value_at = kBlockSize;
    std::size_t at = sizeof header;
    for (const auto& [key, value] : keys) {
      value_at -= std::uint32_t{sizeof value};
      std::memcpy(node.data() + value_at, &value, sizeof value);
      format::LeafItem item{};
      item.inode = key.inode.value();
      item.offset = key.offset;
      item.kind = static_cast<std::uint8_t>(key.kind);
      item.value_offset = static_cast<std::uint16_t>(value_at);
      item.value_size = sizeof value;
      std::memcpy(node.data() + at, &item, sizeof item);
      at += sizeof item;
      if (items_->lost.holds(key)) expected_.try_emplace(key, value);
    }
    header.values_start = value_at;
    format::seal_node(node.span());
    blockio::IoOp write = blockio::IoOp::write(place.value() * kBlockSize, node.span());
    ASSERT_TRUE(io_->run(write));
    if (items_->first.take(place, node.span(), items_->lost)) items_->leaves.push_back(place);
  }

  std::mt19937_64 random_{7};
  blockio::MemoryDevice device_;
  std::unique_ptr<blockio::IoQueue> io_;
  format::Superblock superblock_{};
  std::shared_ptr<SalvagedItems> items_ = std::make_shared<SalvagedItems>();
  std::map<Key, std::uint64_t> expected_;
};

TEST_P(SalvagedItemsTest, AreThoseOfTheNewestLeaves) {
  ASSERT_GT(expected_.size(), 40U);
  EXPECT_LE(items_->first.items().size(), GetParam());
  SalvageCursor cursor(*io_, superblock_, items_);
  for (const auto& [key, value] : expected_) {
    ASSERT_NE(cursor.next(), nullptr);
    EXPECT_EQ(*cursor.next(), key);
    const Result<std::span<const std::byte>> read = cursor.value();
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(std::memcmp(read->data(), &value, sizeof value), 0);
    ASSERT_TRUE(cursor.skip());
  }
  EXPECT_EQ(cursor.next(), nullptr);
}

TEST_P(SalvagedItemsTest, AreNotTakenFromLeavesThatChanged) {
  blockio::AlignedBuffer block(kBlockSize);
  std::memset(block.data(), 0, block.size());
  for (const BlockNumber place : items_->leaves) {
    blockio::IoOp write = blockio::IoOp::write(place.value() * kBlockSize, block.span());
    ASSERT_TRUE(io_->run(write));
  }
  SalvageCursor cursor(*io_, superblock_, items_);
  ASSERT_NE(cursor.next(), nullptr);
  EXPECT_FALSE(cursor.value());
}

INSTANTIATE_TEST_SUITE_P(Most, SalvagedItemsTest, ::testing::Values(std::size_t{1}, std::size_t{7}, std::size_t{1000}));

}  // namespace
}  // namespace ashlar::fsck
