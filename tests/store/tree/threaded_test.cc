// Readers, a writer, checkpoints and eviction at the same time.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "tests/store/tree/tree_harness.h"

namespace ashlar::store {
namespace {

constexpr std::uint64_t kInodes = 400;
constexpr int kWriterRecords = 8000;
constexpr int kReaders = 3;

// Inode i always has an inode item; its extent item comes and goes. Values name their key and a version, all bytes
// alike after the inode's.
std::vector<std::byte> made_value(std::uint64_t inode, std::uint64_t version) {
  auto value = value_of(8 + version % 150, static_cast<std::uint8_t>(version));
  std::memcpy(value.data(), &inode, sizeof inode);
  return value;
}

bool well_made(std::uint64_t inode, std::span<const std::byte> value) {
  if (value.size() < sizeof inode || std::memcmp(value.data(), &inode, sizeof inode) != 0) return false;
  const auto rest = value.subspan(sizeof inode);
  return std::all_of(rest.begin(), rest.end(), [&](std::byte b) { return b == rest.front(); });
}

class ConcurrentTree {
 public:
  ConcurrentTree() {
    nodes_.freed_reads_are_misuse = false;
    TreeConfig config;
    config.node_size = 1024;
    config.cache_bytes = 60 * 1024;
    std::copy(std::begin(kTestUuid), std::end(kTestUuid), config.uuid);
    TreeTotals totals;
    totals.nodes = 1;
    const auto root = nodes_.plant(empty_leaf(config.node_size));
    tree_ = std::make_unique<Tree>(config, nodes_, root, Generation{1}, totals);
    NoQueue io;
    for (std::uint64_t inode = 1; inode <= kInodes; ++inode) {
      RecordBuilder record;
      record.put(key_of(inode), made_value(inode, 1));
      apply(io, record);
    }
    checkpoint();
  }

  void apply(NoQueue& io, RecordBuilder& record) {
    const auto bytes = record.finish();
    for (int attempt = 0; attempt < 1000; ++attempt) {
      ASSERT_TRUE(tree_->load(io, bytes));
      if (tree_->apply(bytes)) return;
    }
    FAIL() << "never ready";
  }

  void write(std::uint32_t seed) {
    NoQueue io;
    std::mt19937 random(seed);
    for (int i = 0; i < kWriterRecords; ++i) {
      RecordBuilder record;
      for (int op = 0; op < 4; ++op) {
        const std::uint64_t inode = 1 + random() % kInodes;
        const format::Key extent = key_of(inode, random() % 4, format::ItemKind::extent);
        switch (random() % 4) {
          case 0: record.put(key_of(inode), made_value(inode, random())); break;
          case 1: record.put(extent, made_value(inode, random())); break;
          default: record.erase(extent); break;
        }
      }
      apply(io, record);
    }
  }

  void read(std::uint32_t seed, const std::atomic<bool>& stop) {
    NoQueue io;
    std::mt19937 random(seed);
    ItemValue value;
    while (!stop.load()) {
      const std::uint64_t inode = 1 + random() % kInodes;
      const auto found = tree_->get(io, key_of(inode), value);
      ASSERT_TRUE(found) << found.error().message();
      ASSERT_TRUE(*found);
      ASSERT_TRUE(well_made(inode, value));
      format::Key key;
      const auto any = tree_->floor(io, key_of(inode), key_of(inode, ~0ULL, format::ItemKind::extent), key, value);
      ASSERT_TRUE(any) << any.error().message();
      ASSERT_TRUE(*any);
      ASSERT_EQ(key.inode.value(), inode);
      ASSERT_TRUE(well_made(inode, value));
      if (random() % 16 == 0) scan(io, inode);
    }
  }

  void scan(NoQueue& io, std::uint64_t from) {
    const std::uint64_t to = std::min(from + 40, kInodes);
    std::uint64_t next = from;
    const auto status =
        tree_->scan(io, key_of(from), key_of(to, ~0ULL, format::ItemKind::extent),
                    [&](const format::Key& key, std::span<const std::byte> value) {
                      EXPECT_TRUE(well_made(key.inode.value(), value));
                      EXPECT_EQ(key.inode.value(), key.kind == format::ItemKind::inode ? next++ : next - 1);
                      return true;
                    });
    ASSERT_TRUE(status) << status.error().message();
    ASSERT_EQ(next, to + 1);
  }

  void checkpoint() {
    tree_->freeze();
    const TreeTotals totals = tree_->frozen_totals();
    std::vector<format::NodePointer> freed;
    const auto root = tree_->write_frozen(nodes_, freed);
    ASSERT_TRUE(root) << root.error().message();
    const auto census = nodes_.walk(*root);
    ASSERT_EQ(census.totals.nodes, totals.nodes);
    ASSERT_EQ(census.totals.items[1], totals.items[1]);
    for (const auto& [key, value] : census.items) ASSERT_TRUE(well_made(key.inode.value(), value));
    tree_->finish_frozen();
    nodes_.release(freed);
    ASSERT_EQ(nodes_.live_nodes(), totals.nodes);
    tree_->evict();
  }

  [[nodiscard]] MemoryNodes& nodes() { return nodes_; }

 private:
  MemoryNodes nodes_;
  std::unique_ptr<Tree> tree_;
};

TEST(TreeThreaded, ReadersWriterCheckpointsAndEviction) {
  ConcurrentTree tree;
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (std::uint32_t i = 0; i < kReaders; ++i) readers.emplace_back([&, i] { tree.read(100 + i, stop); });
  std::thread checkpoints([&] {
    while (!stop.load() && !testing::Test::HasFatalFailure()) tree.checkpoint();
  });
  std::thread writer([&] { tree.write(42); });
  writer.join();
  stop.store(true);
  checkpoints.join();
  for (std::thread& reader : readers) reader.join();
  tree.checkpoint();
  const auto complaints = tree.nodes().complaints();
  EXPECT_TRUE(complaints.empty()) << complaints.front();
  EXPECT_GT(tree.nodes().reads(), 0U);
}

}  // namespace
}  // namespace ashlar::store
