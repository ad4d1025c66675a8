#include <cstring>
#include <mutex>
#include <shared_mutex>

#include "fs/store/tree/internal.h"
#include "fs/store/tree/leaf.h"
#include "fs/store/tree/tree_state.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kFreedPerLock = 64;  // nodes given back before others have a turn with the lock

// Writes the nodes of a frozen generation, children first. Nobody changes them; only the references and pointers of an
// internal node to its clean children come and go with the cache, so those are looked at under the shared lock.
class FrozenWriter {
 public:
  FrozenWriter(TreeState& tree, NodeSink& sink)
      : tree_(tree), generation_(tree.frozen.generation), sink_(sink), staging_(tree.config.node_size) {}

  [[nodiscard]] Status write(Node& node) {
    if (staging_.empty()) return fail(ErrorCode::out_of_memory, "no memory for writing tree nodes");
    if (!node.is_leaf()) {
      auto& changed = changed_children_[node.level()];
      collect_changed(node, changed);
      for (Node* child : changed) {
        if (auto status = write(*child); !status) return status;
      }
    }
    auto placed = sink_.place(node.level());
    if (!placed) return fail(std::move(placed).error());
    format::NodePointer pointer = *placed;
    pointer.generation = generation_;
    pointer.level = node.level();
    encode(node, pointer);
    pointer.crc = format::header_of(staging_.span()).crc;
    if (auto status = sink_.write(pointer, staging_.span()); !status) return status;
    node.pointer = pointer;
    return {};
  }

 private:
  void collect_changed(const Node& node, std::vector<Node*>& changed) const {
    const std::shared_lock guard(tree_.lock);
    changed.clear();
    for (std::uint32_t i = 0; i < node.count(); ++i) {
      Node* const child = node.children[i].get();
      if (child != nullptr && child->generation == generation_) changed.push_back(child);
    }
  }

  void encode(const Node& node, const format::NodePointer& pointer) {
    if (node.is_leaf()) {
      leaf::compact_into(node, staging_.span());
    } else {
      encode_entries(node);
    }
    auto& header = *reinterpret_cast<format::NodeHeader*>(staging_.data());
    const format::NodeHeader content = header;
    header = format::NodeHeader{};
    header.magic = format::kNodeMagic;
    std::memcpy(header.uuid, tree_.config.uuid, sizeof header.uuid);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) header.address[copy] = pointer.address[copy].value();
    header.generation = generation_.value();
    header.level = content.level;
    header.count = content.count;
    header.values_start = node.is_leaf() ? content.values_start.value() : 0;
    format::seal_node(staging_.span());
  }

  void encode_entries(const Node& node) {
    const std::size_t end = sizeof(format::NodeHeader) + node.count() * sizeof(format::InternalEntry);
    auto* const entries = reinterpret_cast<format::InternalEntry*>(staging_.data() + sizeof(format::NodeHeader));
    const std::shared_lock guard(tree_.lock);
    std::memcpy(staging_.data(), node.image.data(), end);
    std::memset(staging_.data() + end, 0, staging_.size() - end);
    for (std::uint32_t i = 0; i < node.count(); ++i) {
      if (node.children[i]) internal::set_pointer(entries[i], node.children[i]->pointer);
    }
  }

  TreeState& tree_;
  const Generation generation_;
  NodeSink& sink_;
  blockio::AlignedBuffer staging_;
  std::vector<Node*> changed_children_[format::kMaxTreeLevel + 1];  // by the parent's level
};

// Gives back a frozen tree's nodes that the live tree does not share, a few at a time.
void give_back(TreeState& tree, std::vector<NodeRef> nodes) {
  while (!nodes.empty()) {
    const std::unique_lock guard(tree.lock);
    for (std::size_t n = 0; n < kFreedPerLock && !nodes.empty(); ++n) {
      const NodeRef node = std::move(nodes.back());
      nodes.pop_back();
      if (node->references > 1 || node->is_leaf()) continue;
      for (std::uint32_t i = 0; i < node->count(); ++i) {
        NodeRef& child = node->children[i];
        if (child && child->references == 1) nodes.push_back(std::move(child));
      }
    }
  }
}

}  // namespace

Generation Tree::freeze() {
  const std::unique_lock guard(state_->lock);
  TreeState::Frozen& frozen = state_->frozen;
  frozen.root = state_->root;
  frozen.generation = state_->current;
  frozen.totals = state_->totals;
  frozen.dirty = std::exchange(state_->live_dirty, 0);
  frozen.freed = std::exchange(state_->freed, {});
  ++state_->current;
  return frozen.generation;
}

Result<format::NodePointer> Tree::write_frozen(NodeSink& sink, std::vector<format::NodePointer>& freed) {
  TreeState::Frozen& frozen = state_->frozen;
  freed.insert(freed.end(), frozen.freed.begin(), frozen.freed.end());
  Node* const root = frozen.root.node.get();
  if (root == nullptr) return frozen.root.pointer;
  {
    const std::shared_lock guard(state_->lock);
    if (root->generation != frozen.generation) return root->pointer;
  }
  FrozenWriter writer(*state_, sink);
  if (auto status = writer.write(*root); !status) return fail(std::move(status).error());
  return root->pointer;
}

void Tree::finish_frozen() {
  std::vector<NodeRef> unused;
  {
    const std::unique_lock guard(state_->lock);
    TreeState::Frozen& frozen = state_->frozen;
    state_->durable = frozen.generation;
    for (NodeRef& node : state_->replaced) {
      state_->freed.push_back(node->pointer);
      unused.push_back(std::move(node));
    }
    state_->replaced.clear();
    if (frozen.root.node) unused.push_back(std::move(frozen.root.node));
    frozen.dirty = 0;
    frozen.freed.clear();
  }
  give_back(*state_, std::move(unused));
}

TreeTotals Tree::frozen_totals() const {
  const std::shared_lock guard(state_->lock);
  return state_->frozen.totals;
}

}  // namespace ashlar::store
