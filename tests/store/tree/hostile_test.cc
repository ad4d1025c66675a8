// Nodes that are valid on their own and lie about each other: a clear error, whatever is asked; never a crash or an
// endless loop.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/store/tree/tree_harness.h"

namespace ashlar::store {
namespace {

std::vector<std::byte> leaf_with(const std::vector<std::uint64_t>& inodes) {
  auto image = empty_leaf(kSmallNode);
  auto& header = *reinterpret_cast<format::NodeHeader*>(image.data());
  header.count = static_cast<std::uint16_t>(inodes.size());
  auto* items = reinterpret_cast<format::LeafItem*>(image.data() + sizeof header);
  for (const std::uint64_t inode : inodes) {
    items->inode = inode;
    items->kind = 1;
    ++items;
  }
  return image;
}

struct Child {
  std::uint64_t lowest;
  format::NodePointer pointer;
};
std::vector<std::byte> internal_with(std::uint8_t level, const std::vector<Child>& children) {
  std::vector<std::byte> image(kSmallNode);
  auto& header = *reinterpret_cast<format::NodeHeader*>(image.data());
  header.level = level;
  header.count = static_cast<std::uint16_t>(children.size());
  auto* entries = reinterpret_cast<format::InternalEntry*>(image.data() + sizeof header);
  for (const Child& child : children) {
    entries->inode = child.lowest;
    entries->kind = child.lowest == 0 ? 0 : 1;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      entries->address[copy] = child.pointer.address[copy].value();
    }
    entries->generation = child.pointer.generation.value();
    entries->crc = child.pointer.crc;
    ++entries;
  }
  return image;
}

class HostileTest : public testing::Test {
 protected:
  Tree& open(const format::NodePointer& root, const TreeTotals& totals = {}) {
    TreeConfig config;
    config.node_size = kSmallNode;
    config.cache_bytes = 1;
    std::copy(std::begin(kTestUuid), std::end(kTestUuid), config.uuid);
    tree_ = std::make_unique<Tree>(config, nodes_, root, Generation{1}, totals);
    return *tree_;
  }

  ErrorCode scan_error(Tree& tree) {
    const auto status = tree.scan(io_, format::kLowestKey, format::kHighestKey,
                                  [](const format::Key&, std::span<const std::byte>) { return true; });
    EXPECT_FALSE(status);
    return status ? ErrorCode::busy : status.error().code();
  }

  // Every way into the tree ends, with an error or without, when all of it is tried.
  void try_everything(Tree& tree) {
    for (std::uint64_t inode = 0; inode < 60; ++inode) {
      ItemValue value;
      format::Key found;
      static_cast<void>(tree.get(io_, key_of(inode), value));
      static_cast<void>(tree.floor(io_, format::kLowestKey, key_of(inode), found, value));
      for (const bool erases : {false, true}) {
        RecordBuilder record;
        if (erases) {
          record.erase(key_of(inode));
        } else {
          record.put(key_of(inode), value_of(100, 1));
        }
        const bool loaded = tree.load(io_, record.finish()).has_value();
        EXPECT_EQ(tree.apply(record.finish()), loaded);
      }
      tree.evict();
    }
  }

  NoQueue io_;
  MemoryNodes nodes_;
  std::unique_ptr<Tree> tree_;
};

TEST_F(HostileTest, KeysBelowTheRange) {
  const auto first = nodes_.plant(leaf_with({1, 2}));
  const auto second = nodes_.plant(leaf_with({9, 20}));
  Tree& tree = open(nodes_.plant(internal_with(1, {{0, first}, {10, second}})));
  EXPECT_EQ(scan_error(tree), ErrorCode::corrupt_structure);
  try_everything(tree);
}

TEST_F(HostileTest, KeysAboveTheRange) {
  const auto first = nodes_.plant(leaf_with({1, 10}));
  const auto second = nodes_.plant(leaf_with({11, 20}));
  Tree& tree = open(nodes_.plant(internal_with(1, {{0, first}, {10, second}})));
  EXPECT_EQ(scan_error(tree), ErrorCode::corrupt_structure);
  try_everything(tree);
}

TEST_F(HostileTest, KeysOfAnInnerNodeOutsideTheRangeOfItsGrandparent) {
  const auto leaf = nodes_.plant(leaf_with({3}));
  const auto good = nodes_.plant(internal_with(1, {{0, leaf}}));
  const auto bad = nodes_.plant(internal_with(1, {{3, leaf}, {12, leaf}}));
  Tree& tree = open(nodes_.plant(internal_with(2, {{0, good}, {10, bad}})));
  EXPECT_EQ(scan_error(tree), ErrorCode::corrupt_structure);
  try_everything(tree);
}

TEST_F(HostileTest, EmptyLeafBelowTheRoot) {
  const auto first = nodes_.plant(leaf_with({1, 2}));
  const auto second = nodes_.plant(empty_leaf(kSmallNode));
  Tree& tree = open(nodes_.plant(internal_with(1, {{0, first}, {10, second}})));
  EXPECT_EQ(scan_error(tree), ErrorCode::corrupt_structure);
  try_everything(tree);
}

TEST_F(HostileTest, OneLeafInTwoPlaces) {
  const auto leaf = nodes_.plant(leaf_with({1, 2}));
  Tree& tree = open(nodes_.plant(internal_with(1, {{0, leaf}, {2, leaf}})));
  EXPECT_EQ(scan_error(tree), ErrorCode::corrupt_structure);
  try_everything(tree);
}

TEST_F(HostileTest, ChildOfTheWrongLevel) {
  nodes_.validates = false;  // which would notice first
  const auto leaf = nodes_.plant(leaf_with({1, 2}));
  Tree& tree = open(nodes_.plant(internal_with(2, {{0, leaf}})));
  EXPECT_EQ(scan_error(tree), ErrorCode::corrupt_structure);
  try_everything(tree);
}

TEST_F(HostileTest, NodeThatIsItsOwnChild) {
  nodes_.validates = false;  // a checksum cannot cover itself: only a collision makes one
  format::NodePointer self;
  self.address[0] = BlockNumber{2};
  self.address[1] = BlockNumber{3};
  self.generation = Generation{1};
  const auto root = nodes_.plant(internal_with(1, {{0, self}, {7, self}}));
  ASSERT_EQ(root.address[0], self.address[0]);
  Tree& tree = open(root);
  EXPECT_EQ(scan_error(tree), ErrorCode::corrupt_structure);
  try_everything(tree);
}

TEST_F(HostileTest, CountsThatAreTooLowDoNotWrapAround) {
  const auto root = nodes_.plant(leaf_with({1, 2, 3, 4}));
  Tree& tree = open(root);
  try_everything(tree);
  EXPECT_EQ(tree.totals().items[1], 0U);
  EXPECT_LT(tree.totals().nodes, 100U);
}

TEST_F(HostileTest, ChainOfSingleChildrenShrinksAway) {
  auto pointer = nodes_.plant(leaf_with({5}));
  for (std::uint8_t level = 1; level <= 6; ++level) pointer = nodes_.plant(internal_with(level, {{0, pointer}}));
  TreeTotals totals;
  totals.nodes = 7;
  totals.items[1] = 1;
  Tree& tree = open(pointer, totals);
  RecordBuilder record;
  record.erase(key_of(5));
  ASSERT_TRUE(tree.load(io_, record.finish()));
  ASSERT_TRUE(tree.apply(record.finish()));
  EXPECT_EQ(tree.height(), 1);
  EXPECT_EQ(tree.totals().nodes, 1U);
  EXPECT_EQ(tree.totals().items[1], 0U);
}

// It could grow past what a node can say of its level.
TEST_F(HostileTest, TreeTooHighIsReadAndNotChanged) {
  auto pointer = nodes_.plant(leaf_with({5}));
  for (std::uint8_t level = 1; level <= format::kMaxTreeLevel; ++level) {
    pointer = nodes_.plant(internal_with(level, {{0, pointer}}));
  }
  Tree& tree = open(pointer);
  ItemValue value;
  const auto found = tree.get(io_, key_of(5), value);
  ASSERT_TRUE(found);
  EXPECT_TRUE(*found);
  RecordBuilder record;
  record.put(key_of(6), {});
  const auto loaded = tree.load(io_, record.finish());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), ErrorCode::corrupt_structure);
  EXPECT_FALSE(tree.apply(record.finish()));
}

TEST_F(HostileTest, RecordsThatNoWriterMakes) {
  Tree& tree = open(nodes_.plant(empty_leaf(kSmallNode)));
  RecordBuilder too_long;
  too_long.put(key_of(1), value_of(format::max_value_size(kSmallNode) + 1, 1));
  RecordBuilder cut_off;
  cut_off.put(key_of(1), value_of(100, 1));
  const auto whole = cut_off.finish();
  for (const auto record : {too_long.finish(), whole.first(whole.size() - 4), whole.first(2), whole.first(0)}) {
    SCOPED_TRACE(record.size());
    const auto loaded = tree.load(io_, record);
    if (loaded) {
      EXPECT_TRUE(tree.apply(record));  // without operations
    } else {
      EXPECT_EQ(loaded.error().code(), ErrorCode::corrupt_structure);
      EXPECT_FALSE(tree.apply(record));
    }
  }
  EXPECT_EQ(tree.totals().items[1], 0U);
}

}  // namespace
}  // namespace ashlar::store
