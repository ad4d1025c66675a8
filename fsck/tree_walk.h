// Every node of the tree in both copies, from the root down, and every item in key order, as the log leaves them.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "fsck/context.h"
#include "fsck/node_reader.h"

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

  // Only nodes whose keys may be of interest are walked, besides the root. To be set before run().
  void look_only_at(std::function<bool(const KeyRange&)> wanted) { wanted_ = std::move(wanted); }
  [[nodiscard]] Status run();
  // Writes bad copies of nodes anew, where the context's options say so. After the walk, when all owners of blocks are
  // known: where two claim one, neither is written to, since a hostile pointer may call a file's block a node's copy.
  [[nodiscard]] Status heal_copies();

  // In the tree itself, before the log.
  [[nodiscard]] std::uint64_t nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::uint64_t items_of(std::size_t kind) const noexcept { return item_counts_[kind]; }

 private:
  // Bad copies that are healed in one run: of 16 GiB of nodes of the usual size.
  static constexpr std::size_t kMostBadCopies = 1U << 20;

  using Outcomes = std::array<Status, format::kCopies>;
  struct BadCopy {
    format::NodePointer pointer;
    std::size_t copy;
    Report::Place finding;
  };

  [[nodiscard]] double part_done() const;
  [[nodiscard]] Status walk(std::span<const ExpectedNode> nodes);
  [[nodiscard]] Status walk_below(std::span<const ExpectedNode> parents);
  [[nodiscard]] Status check_node(const ExpectedNode& expected, std::size_t index);
  [[nodiscard]] Outcomes validate_copies(const ExpectedNode& expected, std::size_t index);
  bool claim_blocks(const format::NodePointer& pointer);
  [[nodiscard]] Status take_node(const ExpectedNode& expected, std::span<const std::byte> node);
  [[nodiscard]] Status take_leaf(const ExpectedNode& expected, std::span<const std::byte> node);
  void take_internal(const ExpectedNode& expected, std::span<const std::byte> node);

  CheckContext& context_;
  const std::unique_ptr<ItemStream> items_;
  NodeReader reader_;
  const std::uint64_t most_nodes_;
  std::vector<ExpectedNode> children_;           // of the nodes being looked at
  std::function<bool(const KeyRange&)> wanted_;  // none: all
  std::vector<BadCopy> bad_copies_;
  std::uint64_t nodes_ = 0;
  std::array<std::uint64_t, format::kItemKindLimit> item_counts_{};
};

}  // namespace ashlar::fsck
