// Changes the live tree: copies what is not its own, splits, merges.
#pragma once

#include <span>

#include "fs/store/tree/tree_state.h"

namespace ashlar::store {

// Lives while the exclusive lock is held. Everything that ready_for() demands is in memory. Cannot fail: without memory
// the process ends, which is a crash like any other.
class TreeWriter {
 public:
  explicit TreeWriter(TreeState& tree) noexcept : tree_(tree) {}

  void put(const format::Key& key, std::span<const std::byte> value);
  void erase(const format::Key& key);

 private:
  // The internal nodes from the root to above a leaf, all of them the live tree's own, and which child comes next.
  struct Path {
    struct Level {
      Node* node;
      std::uint32_t index;
    };
    Level levels[format::kMaxTreeLevel + 1];
    unsigned depth = 0;
  };

  [[nodiscard]] bool present(const format::Key& key) const;
  Node& descend(const format::Key& key, Path& path);

  // Makes the node in `slot` the live tree's own; `slot` is in a node that is already, or the root.
  void own(NodeRef& slot);
  Node& own_child(Node& parent, std::uint32_t index);
  [[nodiscard]] NodeImage take_image();
  [[nodiscard]] NodeRef new_node(std::uint8_t level);
  // The live tree no longer uses the node: its blocks are freed with this generation.
  void let_go(NodeRef node);
  void drop(NodeRef node);  // let_go, and there is one node less

  void insert_into_full_leaf(const Path& path, Node& leaf, std::uint32_t index, const format::Key& key,
                             std::span<const std::byte> value);
  [[nodiscard]] bool spill_into_next_leaf(const Path& path, const format::Key& key, std::span<const std::byte> value);
  // A node split off the one at `depth` of the path takes its place beside it.
  void insert_node(const Path& path, unsigned depth, format::Key key, NodeRef node);
  // Splits a full internal node, putting `child` at `position`; the new right node, whose range begins at `key` then.
  [[nodiscard]] NodeRef split_internal(Node& node, std::uint32_t position, format::Key& key, NodeRef child);
  [[nodiscard]] bool spill_into_next_internal(const Path& path, unsigned depth, const format::Key& key, NodeRef& child);
  void grow_root(const format::Key& key, NodeRef right);

  // After the leaf at the end of the path has shrunk: removes what is empty, merges what fits together, up to the root.
  void rebalance(const Path& path);
  void merge_around(Node& parent, std::uint32_t index);
  // Merges children `index` and the next, if both are in memory and fit together.
  bool merge_pair(Node& parent, std::uint32_t index);
  void shrink_root();

  TreeState& tree_;
};

}  // namespace ashlar::store
