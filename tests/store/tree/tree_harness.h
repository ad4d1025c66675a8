// A tree under test beside the model it must equal, on a device in memory.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "fs/store/log/record_builder.h"
#include "fs/store/tree/tree.h"
#include "tests/store/tree/memory_nodes.h"

namespace ashlar::store {

using Model = std::map<format::Key, std::vector<std::byte>>;

inline constexpr std::uint32_t kSmallNode = 1024;  // bytes: splits and merges all the time

// The doubles do no I/O.
class NoQueue final : public blockio::IoQueue {
 public:
  void submit(std::span<blockio::IoOp* const>) override {}
  std::size_t wait(std::size_t, std::optional<std::chrono::nanoseconds>) override { return 0; }
  void drain() override {}
  [[nodiscard]] Status resize(std::uint32_t) override { return {}; }
};

[[nodiscard]] format::Key key_of(std::uint64_t inode, std::uint64_t offset = 0,
                                 format::ItemKind kind = format::ItemKind::inode);
[[nodiscard]] std::vector<std::byte> value_of(std::size_t size, std::uint8_t fill);

// An empty tree's only node, for MemoryNodes::plant.
[[nodiscard]] std::vector<std::byte> empty_leaf(std::uint32_t node_size);

struct HarnessOptions {
  std::uint32_t node_size = kSmallNode;
  std::size_t cache_bytes = 64U << 20;
};

// Single-threaded. Everything done to the tree is done to the model; expectations fail the running test.
class TreeHarness {
 public:
  explicit TreeHarness(const HarnessOptions& options = {});
  ~TreeHarness();

  void put(const format::Key& key, std::vector<std::byte> value);
  void erase(const format::Key& key);
  // What a record does, operation by operation; no value: an erase.
  using Changes = std::vector<std::pair<format::Key, std::optional<std::vector<std::byte>>>>;
  void apply(RecordBuilder& record, const Changes& changes);

  // freeze, write, finish, free; and the device holds exactly what the model says.
  void checkpoint();
  // As a mount after a crash: back to the last checkpoint.
  void reopen();

  void expect_get(const format::Key& key);
  void expect_floor(const format::Key& lowest, const format::Key& highest);
  void expect_scan(const format::Key& first, const format::Key& last);
  void expect_equal();  // all of it, and the counts
  void expect_no_complaints();

  [[nodiscard]] Tree& tree() { return *tree_; }
  [[nodiscard]] MemoryNodes& nodes() { return nodes_; }
  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] NoQueue& io() { return io_; }
  [[nodiscard]] const format::NodePointer& root() const { return root_; }

 private:
  [[nodiscard]] TreeConfig config() const;
  void apply_to_tree(RecordBuilder& record);

  const HarnessOptions options_;
  NoQueue io_;
  MemoryNodes nodes_;
  std::unique_ptr<Tree> tree_;
  Model model_;

  // The last checkpoint.
  format::NodePointer root_;
  Generation generation_{1};
  TreeTotals totals_;
  Model durable_;
};

// Random work on a harness. Reproducible from its seed.
class RandomWork {
 public:
  RandomWork(TreeHarness& harness, std::uint32_t seed, std::uint32_t node_size);

  void change(bool growing);  // one record of some puts and erases
  void look();                // one get, floor or scan
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  [[nodiscard]] format::Key any_key();

 private:
  [[nodiscard]] std::vector<std::byte> any_value();

  TreeHarness& harness_;
  std::mt19937 random_;
  const std::uint32_t node_size_;
};

}  // namespace ashlar::store
