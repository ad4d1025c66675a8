#include <optional>
#include <shared_mutex>

#include "fs/store/tree/leaf.h"
#include "fs/store/tree/leaf_cursor.h"

namespace ashlar::store {
namespace {

constexpr unsigned kLeavesPerLock = 16;  // that a scan visits before it lets writers have a turn

void copy_value(std::span<const std::byte> from, ItemValue& to) { to.assign(from.begin(), from.end()); }

// One scan's progress across the times it lets go of the lock.
class Scan {
 public:
  Scan(const format::Key& first, const format::Key& last, const ItemVisitor& visit) noexcept
      : position_(first), last_(last), visit_(visit), finished_(last < first) {}
  // From the last item with lowest <= key <= first on, if there is one.
  Scan(const format::Key& lowest, const format::Key& first, const format::Key& last, const ItemVisitor& visit) noexcept
      : Scan(first, last, visit) {
    floor_from_ = lowest;
  }

  [[nodiscard]] bool finished() const noexcept { return finished_; }

  // Visits some leaves; false when nothing could be visited because a node is missing.
  [[nodiscard]] bool advance(const TreeState& tree, Missing& missing) {
    LeafCursor cursor(tree);
    if (!cursor.seek(position_, missing)) return false;
    if (floor_from_ && !step_to_floor(cursor, missing)) return false;
    for (unsigned leaves = 0; leaves < kLeavesPerLock; ++leaves) {
      visit_leaf(cursor.leaf());
      if (finished_) return true;
      switch (cursor.next(missing)) {
        case LeafCursor::Step::moved: break;
        case LeafCursor::Step::end: finished_ = true; return true;
        // After progress the missing node is met again at once: loads count anew.
        case LeafCursor::Step::missing: return leaves > 0;
      }
    }
    return true;
  }

 private:
  // False: missing.
  [[nodiscard]] bool step_to_floor(LeafCursor& cursor, Missing& missing) {
    std::uint32_t end = leaf::upper_bound(cursor.leaf(), position_);
    // Leaves below the root are never empty, so at most one step back.
    if (end == 0 && cursor.lowest() > *floor_from_) {
      const auto step = cursor.previous(missing);
      if (step == LeafCursor::Step::missing) return false;
      if (step == LeafCursor::Step::moved) end = cursor.leaf().count();
    }
    if (end != 0 && leaf::key_at(cursor.leaf(), end - 1) >= *floor_from_) {
      position_ = leaf::key_at(cursor.leaf(), end - 1);
    }
    floor_from_.reset();
    return true;
  }

  void visit_leaf(const Node& node) {
    std::uint32_t index = visited_ ? leaf::upper_bound(node, position_) : leaf::lower_bound(node, position_);
    for (; index < node.count(); ++index) {
      const format::Key key = leaf::key_at(node, index);
      if (key > last_ || !visit_(key, leaf::value_at(node, index))) {
        finished_ = true;
        return;
      }
      position_ = key;
      visited_ = true;
    }
  }

  format::Key position_;
  bool visited_ = false;                   // the item at position_
  std::optional<format::Key> floor_from_;  // the scan is to begin with the floor of position_, not below this
  const format::Key last_;
  const ItemVisitor& visit_;
  bool finished_;
};

Status run_scan(TreeState& tree, blockio::IoQueue& io, Scan& scan) {
  while (!scan.finished()) {
    auto status = tree.access(io, [&](Missing& missing) { return scan.advance(tree, missing); });
    if (!status) return status;
  }
  return {};
}

}  // namespace

Tree::Tree(const TreeConfig& config, NodeSource& source, const format::NodePointer& root, Generation durable,
           const TreeTotals& totals)
    : state_(std::make_unique<State>(config, source, root, durable, totals)) {}

Tree::~Tree() = default;

Result<bool> Tree::get(blockio::IoQueue& io, const format::Key& key, ItemValue& value) {
  bool found = false;
  auto status = state_->access(io, [&](Missing& missing) {
    const Node* const node = state_->find_leaf(key, missing);
    if (node == nullptr) return false;
    const std::uint32_t index = leaf::lower_bound(*node, key);
    found = leaf::holds(*node, index, key);
    if (found) copy_value(leaf::value_at(*node, index), value);
    return true;
  });
  if (!status) return fail(std::move(status).error());
  return found;
}

Result<bool> Tree::floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& highest,
                         format::Key& found, ItemValue& value) {
  bool any = false;
  auto status = state_->access(io, [&](Missing& missing) {
    any = false;
    LeafCursor cursor(*state_);
    if (!cursor.seek(highest, missing)) return false;
    std::uint32_t end = leaf::upper_bound(cursor.leaf(), highest);
    // Leaves below the root are never empty, so at most one step back.
    if (end == 0 && cursor.lowest() > lowest) {
      const auto step = cursor.previous(missing);
      if (step == LeafCursor::Step::missing) return false;
      if (step == LeafCursor::Step::moved) end = cursor.leaf().count();
    }
    if (end == 0 || leaf::key_at(cursor.leaf(), end - 1) < lowest) return true;
    any = true;
    found = leaf::key_at(cursor.leaf(), end - 1);
    copy_value(leaf::value_at(cursor.leaf(), end - 1), value);
    return true;
  });
  if (!status) return fail(std::move(status).error());
  return any;
}

Status Tree::scan(blockio::IoQueue& io, const format::Key& first, const format::Key& last, const ItemVisitor& visit) {
  Scan scan(first, last, visit);
  return run_scan(*state_, io, scan);
}

Status Tree::scan_from_floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& first,
                             const format::Key& last, const ItemVisitor& visit) {
  Scan scan(lowest, first, last, visit);
  return run_scan(*state_, io, scan);
}

TreeTotals Tree::totals() const {
  const std::shared_lock guard(state_->lock);
  return state_->totals;
}

TreeExtent Tree::extent() const {
  const std::shared_lock guard(state_->lock);
  return {static_cast<std::uint8_t>(state_->root_level() + 1), state_->live_dirty + state_->frozen.dirty};
}

std::size_t Tree::resident_bytes() const {
  const std::shared_lock guard(state_->lock);
  return state_->cache.bytes();
}

void Tree::charge(std::size_t bytes) noexcept { state_->charged_bytes.fetch_add(bytes, std::memory_order_relaxed); }

}  // namespace ashlar::store
