// Walks a tree's leaves in key order.
#pragma once

#include "fs/store/tree/tree_state.h"

namespace ashlar::store {

// Valid while the tree's lock is held.
class LeafCursor {
 public:
  enum class Step : std::uint8_t {
    moved,
    end,
    missing
  };  // missing: the node to load is told; the cursor must seek again

  explicit LeafCursor(const TreeState& tree) noexcept : tree_(tree) {}

  // To the leaf whose range holds `key`; false: missing.
  [[nodiscard]] bool seek(const format::Key& key, Missing& missing);
  [[nodiscard]] Step next(Missing& missing);
  [[nodiscard]] Step previous(Missing& missing);
  [[nodiscard]] const Node& leaf() const noexcept { return *leaf_; }
  // No key before this leaf is above or equal to it.
  [[nodiscard]] format::Key lowest() const noexcept;

 private:
  enum class Side : std::uint8_t { first, last };
  struct Level {
    const Node* node;
    std::uint32_t index;
  };
  [[nodiscard]] bool descend(Side side, Missing& missing);  // from the deepest level's child

  const TreeState& tree_;
  const Node* leaf_ = nullptr;
  Level path_[format::kMaxTreeLevel + 1] = {};
  unsigned depth_ = 0;
};

}  // namespace ashlar::store
