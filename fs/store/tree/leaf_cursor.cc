#include "fs/store/tree/leaf_cursor.h"

#include "fs/store/tree/internal.h"

namespace ashlar::store {

bool LeafCursor::seek(const format::Key& key, Missing& missing) {
  depth_ = 0;
  const Node* node = tree_.root_node(missing);
  while (node != nullptr && !node->is_leaf()) {
    const std::uint32_t index = internal::child_index(*node, key);
    path_[depth_++] = Level{node, index};
    node = resident_child(*node, index, missing);
  }
  leaf_ = node;
  return node != nullptr;
}

bool LeafCursor::descend(Side side, Missing& missing) {
  for (;;) {
    const Level& top = path_[depth_ - 1];
    const Node* const node = resident_child(*top.node, top.index, missing);
    if (node == nullptr) return false;
    if (node->is_leaf()) {
      leaf_ = node;
      return true;
    }
    path_[depth_++] = Level{node, side == Side::first ? 0 : node->count() - 1};
  }
}

LeafCursor::Step LeafCursor::next(Missing& missing) {
  while (depth_ > 0 && path_[depth_ - 1].index + 1 == path_[depth_ - 1].node->count()) --depth_;
  if (depth_ == 0) return Step::end;
  ++path_[depth_ - 1].index;
  return descend(Side::first, missing) ? Step::moved : Step::missing;
}

LeafCursor::Step LeafCursor::previous(Missing& missing) {
  while (depth_ > 0 && path_[depth_ - 1].index == 0) --depth_;
  if (depth_ == 0) return Step::end;
  --path_[depth_ - 1].index;
  return descend(Side::last, missing) ? Step::moved : Step::missing;
}

format::Key LeafCursor::lowest() const noexcept {
  for (unsigned depth = depth_; depth > 0; --depth) {
    const Level& level = path_[depth - 1];
    if (level.index > 0) return internal::key_at(*level.node, level.index);
  }
  return format::kLowestKey;
}

}  // namespace ashlar::store
