// The nodes in memory, as the ring that the eviction clock goes around.
#pragma once

#include <cstddef>

#include "fs/store/tree/node.h"

namespace ashlar::store {

// Guarded by the tree's exclusive lock (reading bytes(): the shared one). Nodes leave by themselves when they die.
class NodeCache {
 public:
  NodeCache() = default;
  ~NodeCache() = default;  // after its nodes
  NodeCache(const NodeCache&) = delete;
  NodeCache& operator=(const NodeCache&) = delete;

  void add(Node& node) noexcept;
  void remove(Node& node) noexcept;

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  // The node under the clock's hand, which moves on; null when there is none.
  [[nodiscard]] Node* advance() noexcept;

 private:
  Node* hand_ = nullptr;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace ashlar::store
