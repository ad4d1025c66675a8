#include <algorithm>
#include <mutex>

#include "fs/store/tree/internal.h"
#include "fs/store/tree/tree_state.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kExaminedPerLock = 64;
constexpr std::size_t kExaminedPerCall = 2048;  // there may be nothing to drop: do not look at all of it each time

}  // namespace

void TreeState::run_clock(std::size_t examine) {
  if (eviction_paused) return;
  for (; examine > 0 && over_limit(); --examine) {
    Node* const node = cache.advance();
    if (node == nullptr) return;
    if (node->generation > durable || node->references != 1 || node->resident_children != 0) continue;
    if (node->used.exchange(false, std::memory_order_relaxed)) continue;
    evict_node(*node);
  }
}

// The only reference is that of its slot under its parent: in the live tree, as a rule. Nodes that only the frozen tree
// still has go with it.
void TreeState::evict_node(Node& node) {
  if (node.count() == 0) return;  // an empty root
  const format::Key key = node.first_key();
  Node* parent = root.node.get();
  while (parent != nullptr && parent->level() > node.level()) {
    const std::uint32_t index = internal::child_index(*parent, key);
    Node* const child = parent->children[index].get();
    if (child == &node) {
      internal::drop_child(*parent, index);
      return;
    }
    parent = child;
  }
}

void Tree::evict() {
  for (std::size_t examined = 0; examined < kExaminedPerCall; examined += kExaminedPerLock) {
    {
      const std::shared_lock guard(state_->lock);
      if (!state_->over_limit()) return;
    }
    const std::unique_lock guard(state_->lock);
    state_->run_clock(kExaminedPerLock);
  }
}

}  // namespace ashlar::store
