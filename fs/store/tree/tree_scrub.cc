// Finding the nodes of a tree for who wants to look at them on the device, without bringing leaves into memory.
#include "fs/store/tree/internal.h"
#include "fs/store/tree/leaf.h"
#include "fs/store/tree/tree_state.h"

namespace ashlar::store {
namespace {

// Walks down from the root as far as nodes are in memory; false: `missing` is set and the path ends with it.
class PathFinder {
 public:
  PathFinder(const TreeState& tree, const format::Key& key, TreePath& path, std::span<std::byte> image)
      : tree_(tree), key_(key), path_(path), image_(image) {}

  [[nodiscard]] bool run(Missing& missing) {
    path_ = TreePath{};
    if (!tree_.root.node) return enter_absent(tree_.root.pointer, missing);
    const Node* node = tree_.root.node.get();
    while (!node->is_leaf()) {
      if (node->generation <= tree_.durable) path_.nodes.push_back(node->pointer);
      const std::uint32_t index = internal::child_index(*node, key_);
      // Nodes above were met when their first child was.
      if (index != 0) path_.nodes.clear();
      path_.lowest = internal::key_at(*node, index);
      if (index + 1 < node->count()) path_.next = internal::key_at(*node, index + 1);
      const Node* const child = node->children[index].get();
      if (child == nullptr) return enter_absent(internal::pointer_at(*node, index), missing);
      node = child;
    }
    forget_met();
    if (node->generation <= tree_.durable) {
      path_.nodes.push_back(node->pointer);
    } else {
      leaf::compact_into(*node, image_);
      path_.leaf = TreePath::Leaf::copied;
    }
    return true;
  }

 private:
  [[nodiscard]] bool enter_absent(const format::NodePointer& pointer, Missing& missing) {
    if (pointer.level == 0) forget_met();
    path_.nodes.push_back(pointer);
    missing = {pointer, key_};
    return pointer.level == 0;
  }

  // In the midst of a leaf all nodes above it have been met.
  void forget_met() {
    if (key_ > path_.lowest) path_.nodes.clear();
  }

  const TreeState& tree_;
  const format::Key key_;
  TreePath& path_;
  const std::span<std::byte> image_;
};

}  // namespace

Status Tree::find_path(blockio::IoQueue& io, const format::Key& key, TreePath& path, std::span<std::byte> image) {
  for (unsigned loads = 0; loads < kMaxLoadsPerAccess; ++loads) {
    Missing missing;
    {
      const std::shared_lock guard(state_->lock);
      if (PathFinder(*state_, key, path, image).run(missing)) return {};
    }
    if (const Status loaded = state_->load_missing(io, missing); !loaded) {
      path.not_loaded = loaded.error().code();
      return {};
    }
  }
  return fail(ErrorCode::io_error, "tree nodes are evicted faster than they are loaded: the cache is too small");
}

}  // namespace ashlar::store
