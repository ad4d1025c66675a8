#include "fs/store/tree/tree_writer.h"

#include <new>

#include "fs/store/tree/internal.h"
#include "fs/store/tree/leaf.h"

namespace ashlar::store {
namespace {

// The totals come from the device: wrong ones must not wrap around.
void decrement(std::uint64_t& count) noexcept {
  if (count > 0) --count;
}

std::uint64_t& items_of(TreeTotals& totals, const format::Key& key) noexcept {
  return totals.items[static_cast<std::size_t>(key.kind)];
}

}  // namespace

void TreeWriter::put(const format::Key& key, std::span<const std::byte> value) {
  Path path;
  Node& leaf = descend(key, path);
  const std::uint32_t index = leaf::lower_bound(leaf, key);
  if (leaf::holds(leaf, index, key)) {
    const std::size_t old_size = leaf::value_at(leaf, index).size();
    if (value.size() <= old_size) {
      leaf::overwrite(leaf, index, value);
      if (value.size() < old_size) rebalance(path);
      return;
    }
    leaf::erase(leaf, index);
  } else {
    ++items_of(tree_.totals, key);
  }
  if (leaf::has_room(leaf, value.size())) {
    leaf::insert(leaf, index, key, value, tree_.scratch.span());
  } else {
    insert_into_full_leaf(path, leaf, index, key, value);
  }
}

void TreeWriter::erase(const format::Key& key) {
  if (!present(key)) return;
  Path path;
  Node& leaf = descend(key, path);
  leaf::erase(leaf, leaf::lower_bound(leaf, key));
  decrement(items_of(tree_.totals, key));
  rebalance(path);
}

bool TreeWriter::present(const format::Key& key) const {
  Missing missing;
  const Node* const leaf = tree_.find_leaf(key, missing);
  return leaf != nullptr && leaf::holds(*leaf, leaf::lower_bound(*leaf, key), key);
}

Node& TreeWriter::descend(const format::Key& key, Path& path) {
  own(tree_.root.node);
  Node* node = tree_.root.node.get();
  while (!node->is_leaf()) {
    const std::uint32_t index = internal::child_index(*node, key);
    // Keeps the first entry's key not above the lowest key below it.
    if (index == 0 && key < internal::key_at(*node, 0)) internal::set_key(*node, 0, key);
    path.levels[path.depth++] = Path::Level{node, index};
    node = &own_child(*node, index);
  }
  return *node;
}

void TreeWriter::own(NodeRef& slot) {
  Node& node = *slot;
  if (node.generation == tree_.current) return;
  ++tree_.live_dirty;
  if (node.references == 1 && node.generation <= tree_.durable) {
    // Nobody else has it, so there is nothing to preserve in memory: only on the device, where the new one gets another
    // place.
    tree_.freed.push_back(node.pointer);
    node.generation = tree_.current;
    node.mark_used();
    return;
  }
  NodeRef copy = node.clone(tree_.current, take_image());
  tree_.cache.add(*copy);
  let_go(std::exchange(slot, std::move(copy)));
}

Node& TreeWriter::own_child(Node& parent, std::uint32_t index) {
  own(parent.children[index]);
  return *parent.children[index];
}

NodeImage TreeWriter::take_image() {
  NodeImage image = tree_.images.take();
  if (image.empty()) throw std::bad_alloc();
  return image;
}

NodeRef TreeWriter::new_node(std::uint8_t level) {
  NodeRef node{new Node(take_image())};
  node->begin(level, tree_.current);
  tree_.cache.add(*node);
  ++tree_.live_dirty;
  ++tree_.totals.nodes;
  return node;
}

void TreeWriter::let_go(NodeRef node) {
  if (node->generation == tree_.current) {
    decrement(tree_.live_dirty);  // born and gone in one generation: never on the device
  } else if (node->generation <= tree_.durable) {
    tree_.freed.push_back(node->pointer);
  } else {
    tree_.replaced.push_back(std::move(node));
  }
}

void TreeWriter::drop(NodeRef node) {
  decrement(tree_.totals.nodes);
  let_go(std::move(node));
}

void TreeWriter::insert_into_full_leaf(const Path& path, Node& leaf, std::uint32_t index, const format::Key& key,
                                       std::span<const std::byte> value) {
  if (index == leaf.count()) {
    // Appending: the left leaf stays full, so that files written from front to back fill their leaves.
    if (spill_into_next_leaf(path, key, value)) return;
    NodeRef right = new_node(0);
    leaf::insert(*right, 0, key, value, tree_.scratch.span());
    insert_node(path, path.depth, key, std::move(right));
    return;
  }
  const leaf::Split split = leaf::split_point(leaf, index, value.size());
  NodeRef right = new_node(0);
  leaf::append(*right, leaf, split.first_moved, tree_.scratch.span());
  leaf::truncate(leaf, split.first_moved);
  if (split.insert_left) {
    leaf::insert(leaf, index, key, value, tree_.scratch.span());
  } else {
    leaf::insert(*right, index - split.first_moved, key, value, tree_.scratch.span());
  }
  const format::Key boundary = leaf::key_at(*right, 0);
  insert_node(path, path.depth, boundary, std::move(right));
}

// A new leaf for one item beside one that has room would be two that fit together.
bool TreeWriter::spill_into_next_leaf(const Path& path, const format::Key& key, std::span<const std::byte> value) {
  if (path.depth == 0) return false;
  const auto& [parent, index] = path.levels[path.depth - 1];
  if (index + 1 >= parent->count()) return false;
  const Node* const next = parent->children[index + 1].get();
  if (next == nullptr || !leaf::has_room(*next, value.size())) return false;
  leaf::insert(own_child(*parent, index + 1), 0, key, value, tree_.scratch.span());
  internal::set_key(*parent, index + 1, key);
  return true;
}

void TreeWriter::insert_node(const Path& path, unsigned depth, format::Key key, NodeRef node) {
  for (; depth > 0; --depth) {
    const auto& [parent, index] = path.levels[depth - 1];
    const std::uint32_t position = index + 1;
    if (internal::has_room(*parent)) {
      internal::insert(*parent, position, key, std::move(node));
      return;
    }
    if (position == parent->count() && spill_into_next_internal(path, depth - 1, key, node)) return;
    node = split_internal(*parent, position, key, std::move(node));
  }
  grow_root(key, std::move(node));
}

NodeRef TreeWriter::split_internal(Node& node, std::uint32_t position, format::Key& key, NodeRef child) {
  NodeRef right = new_node(node.level());
  if (position == node.count()) {
    internal::insert(*right, 0, key, std::move(child));
    return right;
  }
  const std::uint32_t first_moved = node.count() / 2;
  internal::append(*right, node, first_moved);
  internal::truncate(node, first_moved);
  if (position <= first_moved) {
    internal::insert(node, position, key, std::move(child));
  } else {
    internal::insert(*right, position - first_moved, key, std::move(child));
  }
  key = internal::key_at(*right, 0);
  return right;
}

bool TreeWriter::spill_into_next_internal(const Path& path, unsigned depth, const format::Key& key, NodeRef& child) {
  if (depth == 0) return false;
  const auto& [parent, index] = path.levels[depth - 1];
  if (index + 1 >= parent->count()) return false;
  const Node* const next = parent->children[index + 1].get();
  if (next == nullptr || !internal::has_room(*next)) return false;
  // What was its first child keeps the range that its parent gave it.
  const format::Key old_lowest = internal::key_at(*parent, index + 1);
  Node& owned = own_child(*parent, index + 1);
  internal::set_key(owned, 0, old_lowest);
  internal::insert(owned, 0, key, std::move(child));
  internal::set_key(*parent, index + 1, key);
  return true;
}

void TreeWriter::grow_root(const format::Key& key, NodeRef right) {
  NodeRef root = new_node(static_cast<std::uint8_t>(tree_.root.node->level() + 1));
  internal::insert(*root, 0, format::kLowestKey, std::move(tree_.root.node));
  internal::insert(*root, 1, key, std::move(right));
  tree_.root.node = std::move(root);
}

void TreeWriter::rebalance(const Path& path) {
  for (unsigned depth = path.depth; depth > 0; --depth) {
    const auto& [parent, index] = path.levels[depth - 1];
    const std::uint32_t count = parent->count();
    if (parent->children[index]->count() > 0) {
      merge_around(*parent, index);
    } else {
      drop(internal::erase(*parent, index));
      if (index > 0 && index < parent->count()) merge_pair(*parent, index - 1);
    }
    if (parent->count() == count) return;
  }
  shrink_root();
}

void TreeWriter::merge_around(Node& parent, std::uint32_t index) {
  // A merge may make children of the merged nodes merge too, and so the result small enough for the next.
  bool merged = true;
  while (merged) {
    merged = merge_pair(parent, index);
    if (index > 0 && merge_pair(parent, index - 1)) {
      --index;
      merged = true;
    }
  }
}

bool TreeWriter::merge_pair(Node& parent, std::uint32_t index) {
  if (index + 1 >= parent.count()) return false;
  const Node* const left = parent.children[index].get();
  const Node* const right = parent.children[index + 1].get();
  if (left == nullptr || right == nullptr) return false;
  if (!(left->is_leaf() ? leaf::fit_together(*left, *right) : internal::fit_together(*left, *right))) return false;

  Node& merged = own_child(parent, index);
  const format::Key boundary = internal::key_at(parent, index + 1);
  NodeRef absorbed = internal::erase(parent, index + 1);
  if (merged.is_leaf()) {
    leaf::append(merged, *absorbed, 0, tree_.scratch.span());
    drop(std::move(absorbed));
    return true;
  }
  const std::uint32_t junction = merged.count();
  internal::append(merged, *absorbed, 0);
  internal::set_key(merged, junction, boundary);
  drop(std::move(absorbed));
  merge_pair(merged, junction - 1);
  return true;
}

// Only ever to nodes in memory: the last child left is one that was merged, or is on the path, or was checked to be
// there.
void TreeWriter::shrink_root() {
  NodeRef& root = tree_.root.node;
  if (!root->is_leaf() && root->count() == 0) {
    drop(std::exchange(root, NodeRef()));
    root = new_node(0);
  }
  while (!root->is_leaf() && root->count() == 1 && root->children[0]) {
    NodeRef child = root->children[0];
    drop(std::exchange(root, std::move(child)));
  }
}

}  // namespace ashlar::store
