// Bringing nodes into memory. What a device says about one node was validated by the source; how it fits under its
// parent is checked here.
#include <fmt/format.h>

#include "fs/store/tree/internal.h"
#include "fs/store/tree/tree_state.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kExaminedPerLoad = 16;  // by the eviction clock: more than one node leaves for one that comes

Status misfit(const format::NodePointer& pointer, std::string_view what) {
  return fail(ErrorCode::corrupt_structure, fmt::format("tree node at block {}: {}", pointer.address[0].value(), what));
}

}  // namespace

std::optional<TreeState::Slot> TreeState::find_slot(const Missing& missing) const {
  Slot slot;
  if (!root.node) {
    if (root.pointer == missing.pointer) return slot;
    return std::nullopt;
  }
  const unsigned parent_level = missing.pointer.level + 1U;
  Node* node = root.node.get();
  while (node != nullptr && !node->is_leaf() && node->level() >= parent_level) {
    const std::uint32_t index = internal::child_index(*node, missing.key);
    slot.lowest = internal::key_at(*node, index);
    if (index + 1 < node->count()) slot.limit = internal::key_at(*node, index + 1);
    if (node->level() == parent_level) {
      if (node->children[index] || internal::pointer_at(*node, index) != missing.pointer) return std::nullopt;
      slot.parent = node;
      slot.index = index;
      return slot;
    }
    node = node->children[index].get();
  }
  return std::nullopt;
}

// Keys of a child lie within the range that its parent gives it, so ranges nest and no node can be reached in two ways;
// levels fall by one from parent to child, so there is no cycle.
Status TreeState::check_fits(const Node& node, const Slot& slot) {
  if (slot.parent == nullptr) return {};
  if (node.level() + 1 != slot.parent->level()) return misfit(node.pointer, "not one level below its parent");
  if (node.count() == 0) return misfit(node.pointer, "empty, and not the root");
  if (node.first_key() < slot.lowest || (slot.limit && node.last_key() >= *slot.limit)) {
    return misfit(node.pointer, "keys outside the range that its parent gives it");
  }
  return {};
}

Status TreeState::install(NodeRef& node, const Missing& missing) {
  const auto slot = find_slot(missing);
  if (!slot) return {};  // somebody else was faster, or the tree has changed
  if (auto status = check_fits(*node, *slot); !status) return status;
  cache.add(*node);
  if (slot->parent == nullptr) {
    root.node = std::move(node);
  } else {
    internal::set_child(*slot->parent, slot->index, std::move(node));
  }
  return {};
}

Status TreeState::load_missing(blockio::IoQueue& io, const Missing& missing) {
  NodeRef node{new Node(config.node_size)};
  if (node->image.empty()) return fail(ErrorCode::out_of_memory, "no memory for a tree node");
  if (auto status = source.read(io, missing.pointer, node->image.span()); !status) {
    // The node may have been freed, and its blocks reused, since the lock was let go.
    const std::shared_lock guard(lock);
    if (!find_slot(missing)) return {};
    return status;
  }
  node->adopt_image(missing.pointer);
  const std::unique_lock guard(lock);
  if (auto status = install(node, missing); !status) return status;
  if (over_limit()) run_clock(kExaminedPerLoad);
  return {};
}

}  // namespace ashlar::store
