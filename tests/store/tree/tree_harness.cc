#include "tests/store/tree/tree_harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace ashlar::store {

format::Key key_of(std::uint64_t inode, std::uint64_t offset, format::ItemKind kind) {
  return format::Key{InodeNumber{inode}, kind, offset};
}

std::vector<std::byte> value_of(std::size_t size, std::uint8_t fill) {
  return std::vector<std::byte>(size, std::byte{fill});
}

std::vector<std::byte> empty_leaf(std::uint32_t node_size) {
  std::vector<std::byte> image(node_size);
  reinterpret_cast<format::NodeHeader*>(image.data())->values_start = node_size;
  return image;
}

TreeHarness::TreeHarness(const HarnessOptions& options) : options_(options) {
  root_ = nodes_.plant(empty_leaf(options.node_size));
  totals_.nodes = 1;
  tree_ = std::make_unique<Tree>(config(), nodes_, root_, generation_, totals_);
}

TreeHarness::~TreeHarness() { expect_no_complaints(); }

TreeConfig TreeHarness::config() const {
  TreeConfig config;
  config.node_size = options_.node_size;
  config.cache_bytes = options_.cache_bytes;
  std::copy(std::begin(kTestUuid), std::end(kTestUuid), config.uuid);
  return config;
}

void TreeHarness::put(const format::Key& key, std::vector<std::byte> value) {
  RecordBuilder record;
  record.put(key, value);
  apply(record, {{key, std::move(value)}});
}

void TreeHarness::erase(const format::Key& key) {
  RecordBuilder record;
  record.erase(key);
  apply(record, {{key, std::nullopt}});
}

void TreeHarness::apply(RecordBuilder& record, const Changes& changes) {
  apply_to_tree(record);
  for (const auto& [key, value] : changes) {
    if (value) {
      model_[key] = *value;
    } else {
      model_.erase(key);
    }
  }
}

void TreeHarness::apply_to_tree(RecordBuilder& record) {
  const auto bytes = record.finish();
  // Once the tree knows that its nodes were evicted in between, it keeps them.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto loaded = tree_->load(io_, bytes);
    ASSERT_TRUE(loaded) << loaded.error().message();
    if (tree_->apply(bytes)) return;
  }
  FAIL() << "nodes evicted between load and apply";
}

void TreeHarness::checkpoint() {
  const Model frozen = model_;
  const Generation generation = tree_->freeze();
  ASSERT_EQ(generation, generation_ + 1);
  const TreeTotals totals = tree_->frozen_totals();
  std::vector<format::NodePointer> freed;
  const auto root = tree_->write_frozen(nodes_, freed);
  ASSERT_TRUE(root) << root.error().message();
  const auto census = nodes_.walk(*root);
  ASSERT_EQ(census.items, frozen);
  ASSERT_EQ(census.totals.nodes, totals.nodes);
  ASSERT_TRUE(std::ranges::equal(census.totals.items, totals.items));
  tree_->finish_frozen();
  nodes_.release(freed);
  ASSERT_EQ(nodes_.live_nodes(), totals.nodes);
  root_ = *root;
  generation_ = generation;
  totals_ = totals;
  durable_ = frozen;
}

void TreeHarness::reopen() {
  tree_ = std::make_unique<Tree>(config(), nodes_, root_, generation_, totals_);
  model_ = durable_;
}

void TreeHarness::expect_get(const format::Key& key) {
  ItemValue value;
  const auto found = tree_->get(io_, key, value);
  ASSERT_TRUE(found) << found.error().message();
  const auto expected = model_.find(key);
  ASSERT_EQ(*found, expected != model_.end());
  if (*found) {
    ASSERT_EQ(value, expected->second);
  }
}

void TreeHarness::expect_floor(const format::Key& lowest, const format::Key& highest) {
  format::Key key;
  ItemValue value;
  const auto found = tree_->floor(io_, lowest, highest, key, value);
  ASSERT_TRUE(found) << found.error().message();
  auto expected = model_.upper_bound(highest);
  const bool any = expected != model_.begin() && (--expected)->first >= lowest;
  ASSERT_EQ(*found, any);
  if (!any) return;
  ASSERT_EQ(key, expected->first);
  ASSERT_EQ(value, expected->second);
}

void TreeHarness::expect_scan(const format::Key& first, const format::Key& last) {
  Model seen;
  const auto status = tree_->scan(io_, first, last, [&](const format::Key& key, std::span<const std::byte> value) {
    EXPECT_TRUE(seen.empty() || seen.rbegin()->first < key);
    seen[key].assign(value.begin(), value.end());
    return true;
  });
  ASSERT_TRUE(status) << status.error().message();
  Model expected;
  if (first <= last) expected.insert(model_.lower_bound(first), model_.upper_bound(last));
  ASSERT_EQ(seen, expected);
}

void TreeHarness::expect_equal() {
  expect_scan(format::kLowestKey, format::kHighestKey);
  std::uint64_t counts[format::kItemKindLimit] = {};
  for (const auto& item : model_) ++counts[static_cast<std::size_t>(item.first.kind)];
  EXPECT_TRUE(std::ranges::equal(tree_->totals().items, counts));
}

void TreeHarness::expect_no_complaints() { EXPECT_THAT(nodes_.complaints(), testing::IsEmpty()); }

RandomWork::RandomWork(TreeHarness& harness, std::uint32_t seed, std::uint32_t node_size)
    : harness_(harness), random_(seed), node_size_(node_size) {}

format::Key RandomWork::any_key() {
  return key_of(below(40), below(30), format::ItemKind{static_cast<std::uint8_t>(1 + below(8))});
}

std::vector<std::byte> RandomWork::any_value() {
  const std::uint32_t longest = format::max_value_size(node_size_);
  std::uint64_t size = 0;
  switch (below(4)) {
    case 0: size = below(longest + 1); break;
    case 1: size = longest; break;
    case 2: size = below(24); break;
    default: size = 48; break;
  }
  return value_of(size, static_cast<std::uint8_t>(random_()));
}

void RandomWork::change(bool growing) {
  // Runs of neighbours as well as scattered keys.
  RecordBuilder record;
  const std::uint64_t ops = 1 + below(12);
  format::Key key = any_key();
  const bool run = below(2) == 0;
  TreeHarness::Changes changes;
  for (std::uint64_t i = 0; i < ops; ++i) {
    key = run ? format::Key{key.inode, key.kind, key.offset + 1} : any_key();
    if (!run && below(2) == 0) {
      // One that exists.
      const auto at = harness_.model().lower_bound(key);
      if (at != harness_.model().end()) key = at->first;
    }
    if (below(10) < (growing ? 7U : 3U)) {
      auto value = any_value();
      record.put(key, value);
      changes.emplace_back(key, std::move(value));
    } else {
      record.erase(key);
      changes.emplace_back(key, std::nullopt);
    }
  }
  harness_.apply(record, changes);
}

void RandomWork::look() {
  switch (below(4)) {
    case 0: harness_.expect_floor(any_key(), any_key()); break;
    case 1: harness_.expect_scan(any_key(), any_key()); break;
    default: harness_.expect_get(any_key()); break;
  }
}

}  // namespace ashlar::store
