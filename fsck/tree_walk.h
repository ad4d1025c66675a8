// Every node of the tree in both copies, level by level from the root, and every item in key order, as the log leaves
// them.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {

// Keys ascend from call to call; the value is valid during the call. An error ends the walk.
using ItemVisitor = std::function<Status(const format::Key& key, std::span<const std::byte> value)>;

class ItemStream;

// Adds what is wrong with nodes to the context's report, claims their blocks, and notes which ranges of keys are out of
// reach. Ends early at a fatal finding.
class TreeWalk {
 public:
  TreeWalk(CheckContext& context, const ItemVisitor& visit);
  ~TreeWalk();
  TreeWalk(const TreeWalk&) = delete;
  TreeWalk& operator=(const TreeWalk&) = delete;

  [[nodiscard]] Status run();

  // In the tree itself, before the log.
  [[nodiscard]] std::uint64_t nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::uint64_t items_of(std::size_t kind) const noexcept { return item_counts_[kind]; }

 private:
  static constexpr std::size_t kNodesInFlight = 32;

  // A node to be read, and the keys that its parent gives it.
  struct Expected {
    format::NodePointer pointer;
    KeyRange range;
  };
  using Outcomes = std::array<Status, format::kCopies>;

  [[nodiscard]] double part_done() const;
  [[nodiscard]] std::span<std::byte> image(std::size_t index, std::size_t copy);
  [[nodiscard]] bool in_bounds(const format::NodePointer& pointer) const;
  [[nodiscard]] Status check_batch(std::span<const Expected> batch);
  [[nodiscard]] Status check_node(const Expected& expected, std::size_t index, const Outcomes& outcomes);
  bool claim_blocks(const format::NodePointer& pointer);
  [[nodiscard]] Status take_node(const Expected& expected, std::span<const std::byte> node);
  [[nodiscard]] Status take_leaf(const Expected& expected, std::span<const std::byte> node);
  void take_internal(const Expected& expected, std::span<const std::byte> node);

  CheckContext& context_;
  const std::unique_ptr<ItemStream> items_;
  const std::size_t node_size_;
  blockio::AlignedBuffer buffer_;
  const std::uint64_t most_nodes_;
  std::vector<Expected> next_level_;
  std::uint64_t nodes_ = 0;
  std::array<std::uint64_t, format::kItemKindLimit> item_counts_{};
};

}  // namespace ashlar::fsck
