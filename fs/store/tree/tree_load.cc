// Bringing nodes into memory. What a device says about one node was validated by the source; how it fits under its
// parent is checked here.
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "fs/store/tree/internal.h"
#include "fs/store/tree/tree_state.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kExaminedPerLoad = 16;  // by the eviction clock: more than one node leaves for one that comes
constexpr std::uint32_t kReadTogether = 16;   // leaves, at most
constexpr std::size_t kCacheShare = 16;       // of the cache that they may take

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
  if (missing.pointer.level == 0) {
    ReadAheadClaims::Claimed claimed(read_ahead_claims);
    const std::vector<Missing> around = missing_around(missing, claimed);
    if (!around.empty() && load_together(io, missing, around)) return {};
  }
  NodeRef node{new Node(images.take())};
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

// Its siblings in the same part of their parent: parts do not overlap, so that a walk loads each leaf once. What others
// are reading ahead already is left to them.
std::vector<Missing> TreeState::missing_around(const Missing& leaf, ReadAheadClaims::Claimed& claimed) {
  std::vector<Missing> around;
  if (config.cache_bytes / config.node_size < kReadTogether * kCacheShare) return around;
  const std::shared_lock guard(lock);
  const auto slot = find_slot(leaf);
  if (!slot || slot->parent == nullptr || !leaf_misses.note(slot->parent, slot->index, kReadTogether)) return around;
  const Node& parent = *slot->parent;
  const std::uint32_t first = slot->index - slot->index % kReadTogether;
  const std::uint32_t end = std::min(first + kReadTogether, parent.count());
  for (std::uint32_t index = first; index < end; ++index) {
    if (parent.children[index]) continue;
    const format::NodePointer pointer = internal::pointer_at(parent, index);
    // The caller needs its own leaf now, whoever else is reading it.
    if (claimed.add(pointer.address[0]) && index != slot->index) {
      around.push_back({pointer, internal::key_at(parent, index)});
    }
  }
  return around;
}

// False: the needed one was not to be had in this way. The others come as they can.
bool TreeState::load_together(blockio::IoQueue& io, const Missing& needed, std::span<const Missing> others) {
  std::vector<Missing> wanted{needed};
  wanted.insert(wanted.end(), others.begin(), others.end());
  std::vector<NodeRef> nodes;
  std::vector<NodeRead> reads;
  for (const Missing& missing : wanted) {
    NodeRef node{new Node(images.take())};
    if (node->image.empty()) break;
    reads.push_back({missing.pointer, node->image.span()});
    nodes.push_back(std::move(node));
  }
  if (nodes.empty()) return false;
  source.read_ahead(io, reads);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (reads[i].good) nodes[i]->adopt_image(reads[i].pointer);
    nodes[i]->used.store(i == 0, std::memory_order_relaxed);  // the first to go if nobody comes for it
  }
  const std::unique_lock guard(lock);
  bool needed_fits = false;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const bool fits = reads[i].good && install(nodes[i], wanted[i]).has_value();
    if (i == 0) needed_fits = fits;
  }
  if (over_limit()) run_clock(kExaminedPerLoad * nodes.size());
  return needed_fits;
}

}  // namespace ashlar::store
