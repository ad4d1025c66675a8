#include "fs/format/node.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/format/samples.h"

namespace ashlar::format {
namespace {

using testing::kOtherUuid;
using testing::kUuid;
using testing::mutable_header;
using testing::pointer_to;
using testing::sample_internal;
using testing::sample_leaf;

Key key(std::uint64_t inode, std::uint64_t offset = 0, ItemKind kind = ItemKind::inode) {
  return Key{InodeNumber{inode}, kind, offset};
}

std::vector<std::byte> three_items() {
  return sample_leaf({{key(1), "one"}, {key(2), "two!"}, {key(2, 9, ItemKind::dirent), "three"}});
}

LeafItem& item(std::vector<std::byte>& node, std::size_t index) {
  return reinterpret_cast<LeafItem*>(node.data() + sizeof(NodeHeader))[index];
}
InternalEntry& entry(std::vector<std::byte>& node, std::size_t index) {
  return reinterpret_cast<InternalEntry*>(node.data() + sizeof(NodeHeader))[index];
}

ErrorCode code_of(const Status& status) { return status ? ErrorCode::not_found : status.error().code(); }

TEST(NodeTest, ALeafReadsBackWhatWasPut) {
  const auto node = three_items();
  const NodePointer pointer = pointer_to(node);
  ASSERT_TRUE(validate_node(node, kUuid, &pointer));
  const auto items = leaf_items(node);
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(key_of(items[2]), key(2, 9, ItemKind::dirent));
  const auto value = value_of(node, items[1]);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(value.data()), value.size()), "two!");
}

TEST(NodeTest, AnEmptyLeafAndAnEmptyValueAreSound) {
  EXPECT_TRUE(validate_node(sample_leaf({}), kUuid, nullptr));
  auto node = sample_leaf({{key(1), "x"}, {key(2), ""}});
  ASSERT_TRUE(validate_node(node, kUuid, nullptr));
  EXPECT_TRUE(value_of(node, leaf_items(node)[1]).empty());
  item(node, 1).value_offset = 0xffff;
  seal_node(node);
  EXPECT_FALSE(validate_node(node, kUuid, nullptr));
}

TEST(NodeTest, AFullNodeOfEverySizeIsSound) {
  for (std::size_t size = kMinNodeSize; size <= kMaxNodeSize; size *= 2) {
    const std::string value(max_value_size(static_cast<std::uint32_t>(size)), 'v');
    EXPECT_TRUE(validate_node(sample_leaf({{key(1), value}, {key(2), value}, {key(3), value}, {key(4), value}}, size),
                              kUuid, nullptr));
    std::vector<Key> keys;
    for (std::uint32_t i = 0; i < max_internal_entries(static_cast<std::uint32_t>(size)); ++i) keys.push_back(key(i));
    EXPECT_TRUE(validate_node(sample_internal(keys, size), kUuid, nullptr));
  }
}

TEST(NodeTest, EveryDamagedByteIsNoticed) {
  const auto sound = three_items();
  for (std::size_t i = 0; i < sound.size(); ++i) {
    auto damaged = sound;
    damaged[i] ^= std::byte{1};
    EXPECT_EQ(code_of(validate_node(damaged, kUuid, nullptr)), ErrorCode::bad_checksum) << "byte " << i;
  }
}

TEST(NodeTest, ANodeThatBelongsElsewhereIsNotTaken) {
  const auto node = three_items();
  const NodePointer sound = pointer_to(node);
  EXPECT_EQ(code_of(validate_node(node, kOtherUuid, &sound)), ErrorCode::misdirected_block);
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    NodePointer elsewhere = sound;
    elsewhere.address[copy] += 1;
    EXPECT_EQ(code_of(validate_node(node, kUuid, &elsewhere)), ErrorCode::misdirected_block);
  }
  NodePointer later = sound;
  later.generation += 1;
  EXPECT_EQ(code_of(validate_node(node, kUuid, &later)), ErrorCode::stale_block);
  NodePointer other = sound;
  other.crc ^= 1;
  EXPECT_EQ(code_of(validate_node(node, kUuid, &other)), ErrorCode::bad_checksum);
  NodePointer higher = sound;
  higher.level = 1;
  EXPECT_EQ(code_of(validate_node(node, kUuid, &higher)), ErrorCode::corrupt_structure);
}

TEST(NodeTest, InvalidLeavesAreRejectedThoughTheChecksumHolds) {
  using Damage = std::function<void(std::vector<std::byte>&)>;
  const std::pair<const char*, Damage> cases[] = {
      {"level", [](auto& n) { mutable_header(n).level = kMaxTreeLevel + 1; }},
      {"generation", [](auto& n) { mutable_header(n).generation = 0; }},
      {"count", [](auto& n) { mutable_header(n).count = 0xffff; }},
      {"values start past the end", [](auto& n) { mutable_header(n).values_start = 4097; }},
      {"values start overflows", [](auto& n) { mutable_header(n).values_start = ~0U; }},
      {"items reach into values", [](auto& n) { mutable_header(n).values_start = sizeof(NodeHeader) + 71; }},
      {"equal keys", [](auto& n) { item(n, 1).inode = 1; }},
      {"keys descend", [](auto& n) { item(n, 0).inode = 3; }},
      {"kind 0", [](auto& n) { item(n, 0).kind = 0; }},
      {"kind out of range", [](auto& n) { item(n, 2).kind = kItemKindLimit; }},
      {"value in the header", [](auto& n) { item(n, 0).value_offset = 0; }},
      {"value before the values", [](auto& n) { item(n, 2).value_offset = item(n, 2).value_offset - 1; }},
      {"value past the end", [](auto& n) { item(n, 0).value_size = 4; }},
      {"value far past the end", [](auto& n) { item(n, 0).value_size = 0xffff; }},
      {"value too long",
       [](auto& n) {
         mutable_header(n).values_start = 200, item(n, 0).value_offset = 200, item(n, 0).value_size = 2000;
       }},
      {"values overlap", [](auto& n) { item(n, 2).value_size = 6; }},
      {"two items share a value", [](auto& n) { item(n, 0).value_offset = item(n, 1).value_offset; }},
  };
  for (const auto& [what, damage] : cases) {
    auto node = three_items();
    damage(node);
    seal_node(node);
    EXPECT_EQ(code_of(validate_node(node, kUuid, nullptr)), ErrorCode::corrupt_structure) << what;
  }
}

TEST(NodeTest, InvalidInternalNodesAreRejected) {
  const std::vector<Key> keys{kLowestKey, key(5), key(9)};
  ASSERT_TRUE(validate_node(sample_internal(keys), kUuid, nullptr));
  using Damage = std::function<void(std::vector<std::byte>&)>;
  const std::pair<const char*, Damage> cases[] = {
      {"empty", [](auto& n) { mutable_header(n).count = 0; }},
      {"count", [](auto& n) { mutable_header(n).count = static_cast<std::uint16_t>(max_internal_entries(4096) + 1); }},
      {"order", [](auto& n) { entry(n, 1).inode = 9; }},
      {"kind", [](auto& n) { entry(n, 1).kind = 0xff; }},
      {"address 0", [](auto& n) { entry(n, 1).address[1] = 0; }},
      {"one copy twice", [](auto& n) { entry(n, 1).address[1] = entry(n, 1).address[0]; }},
      {"newer than its parent", [](auto& n) { entry(n, 1).generation = 6; }},
  };
  for (const auto& [what, damage] : cases) {
    auto node = sample_internal(keys);
    damage(node);
    seal_node(node);
    EXPECT_EQ(code_of(validate_node(node, kUuid, nullptr)), ErrorCode::corrupt_structure) << what;
  }
}

TEST(NodeTest, AnImpossibleSizeIsRefused) {
  const std::vector<std::byte> bytes(5000);
  EXPECT_FALSE(validate_node(bytes, kUuid, nullptr));
  EXPECT_FALSE(validate_node(std::span(bytes).first(0), kUuid, nullptr));
  EXPECT_FALSE(validate_node(std::span(bytes).first(512), kUuid, nullptr));
}

TEST(NodeTest, WhateverPassesCanBeWalkedSafely) {
  std::mt19937_64 random(7);
  std::size_t passed = 0;
  for (int round = 0; round < 20000; ++round) {
    auto node = round % 2 == 0 ? three_items() : sample_internal({kLowestKey, key(5), key(9)});
    for (int i = 0; i < 2; ++i) node[28 + random() % 200] = static_cast<std::byte>(random());
    seal_node(node);
    if (!validate_node(node, kUuid, nullptr)) continue;
    ++passed;
    if (header_of(node).level != 0) continue;
    std::size_t sum = 0;
    for (const LeafItem& each : leaf_items(node)) {
      for (const std::byte byte : value_of(node, each)) sum += static_cast<std::size_t>(byte);
    }
    EXPECT_LE(sum, node.size() * 255);
  }
  EXPECT_GT(passed, 0U);
}

TEST(NodePointerTest, SurvivesTheDisk) {
  NodePointer pointer;
  pointer.address[0] = BlockNumber{0x0123'4567'89ab'cdefULL};
  pointer.address[1] = BlockNumber{7};
  pointer.generation = Generation{99};
  pointer.crc = 0xdead'beef;
  pointer.level = 3;
  EXPECT_EQ(load(store(pointer)), pointer);
}

}  // namespace
}  // namespace ashlar::format
