#include "fs/store/tree/tree_state.h"

#include "fs/format/log.h"
#include "fs/store/tree/internal.h"
#include "fs/store/tree/leaf.h"

namespace ashlar::store {

TreeState::TreeState(const TreeConfig& tree_config, NodeSource& node_source, const format::NodePointer& root_pointer,
                     Generation durable_generation, const TreeTotals& tree_totals)
    : config(tree_config),
      source(node_source),
      images(tree_config.node_size),
      current(durable_generation + 1),
      durable(durable_generation),
      totals(tree_totals),
      scratch(tree_config.node_size) {
  root.pointer = root_pointer;
}

const Node* resident_child(const Node& node, std::uint32_t index, Missing& missing) {
  const Node* const child = node.children[index].get();
  if (child == nullptr) {
    missing = Missing{internal::pointer_at(node, index), internal::key_at(node, index)};
    return nullptr;
  }
  child->mark_used();
  return child;
}

const Node* TreeState::root_node(Missing& missing) const {
  if (!root.node) missing = Missing{root.pointer, format::kLowestKey};
  return root.node.get();
}

const Node* TreeState::find_leaf(const format::Key& key, Missing& missing) const {
  const Node* node = root_node(missing);
  while (node != nullptr && !node->is_leaf()) node = resident_child(*node, internal::child_index(*node, key), missing);
  return node;
}

bool TreeState::ready_for(const format::LogOpView& op, Missing& missing) const {
  if (op.op != format::LogOpKind::put && op.op != format::LogOpKind::erase) return true;
  const Node* const leaf = find_leaf(op.key, missing);
  if (leaf == nullptr) return false;
  const std::uint32_t index = leaf::lower_bound(*leaf, op.key);
  if (!leaf::holds(*leaf, index, op.key)) return true;
  const bool shrinks = op.op == format::LogOpKind::erase || op.value.size() < leaf::value_at(*leaf, index).size();
  return !shrinks || neighbours_ready(op.key, missing);
}

// A leaf that shrinks may be merged with its neighbours, and so may its ancestors; and the range of a leaf that is
// removed falls to the leaf before it (or after the first), which a later operation of the same record may want. So on
// every level the nodes next to the path must be in memory, under whatever parent they are.
bool TreeState::neighbours_ready(const format::Key& key, Missing& missing) const {
  const Node* left = nullptr;
  const Node* node = root.node.get();
  const Node* right = nullptr;
  while (!node->is_leaf()) {
    const std::uint32_t index = internal::child_index(*node, key);
    const Node* next_left = nullptr;
    if (index > 0) {
      next_left = resident_child(*node, index - 1, missing);
      if (next_left == nullptr) return false;
    } else if (left != nullptr) {
      next_left = resident_child(*left, left->count() - 1, missing);
      if (next_left == nullptr) return false;
    }
    const Node* next_right = nullptr;
    if (index + 1 < node->count()) {
      next_right = resident_child(*node, index + 1, missing);
      if (next_right == nullptr) return false;
    } else if (right != nullptr) {
      next_right = resident_child(*right, 0, missing);
      if (next_right == nullptr) return false;
    }
    const Node* const child = resident_child(*node, index, missing);
    if (child == nullptr) return false;
    left = next_left;
    right = next_right;
    node = child;
  }
  return true;
}

}  // namespace ashlar::store
