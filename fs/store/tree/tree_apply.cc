#include <mutex>

#include "fs/format/log.h"
#include "fs/store/tree/tree_writer.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kExaminedPerApply = 16;  // by the eviction clock

bool is_change(const format::LogOpView& op) noexcept {
  return op.op == format::LogOpKind::put || op.op == format::LogOpKind::erase;
}

Status check_op(const TreeState& tree, const format::LogOpView& op) {
  if (op.op == format::LogOpKind::put && op.value.size() > format::max_value_size(tree.config.node_size)) {
    return fail(ErrorCode::corrupt_structure, "log record: value too long for a tree node");
  }
  return {};
}

Status load_record(TreeState& tree, blockio::IoQueue& io, std::span<const std::byte> record) {
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (TRY(cursor.next(op))) {
    TRY(check_op(tree, op));
    bool too_high = false;
    TRY(tree.access(io, [&](Missing& missing) {
      too_high = is_change(op) && tree.root_level() > kTallestWritableLevel;
      return too_high || tree.ready_for(op, missing);
    }));
    if (too_high) return fail(ErrorCode::corrupt_structure, "the tree is higher than any volume needs");
  }
  return {};
}

// Nothing is changed unless everything can be.
bool ready_for_record(const TreeState& tree, std::span<const std::byte> record) {
  if (tree.root_level() > kTallestWritableLevel) return false;
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  for (;;) {
    const auto more = cursor.next(op);
    if (!more) return false;
    if (!*more) return true;
    Missing missing;
    if (!check_op(tree, op) || !tree.ready_for(op, missing)) return false;
  }
}

}  // namespace

Status Tree::load(blockio::IoQueue& io, std::span<const std::byte> record) {
  auto status = load_record(*state_, io, record);
  if (!status) resume_eviction();
  return status;
}

void Tree::resume_eviction() {
  const std::unique_lock guard(state_->lock);
  state_->eviction_paused = false;
}

bool Tree::apply(std::span<const std::byte> record, bool loaded) {
  const std::unique_lock guard(state_->lock);
  const bool ready = ready_for_record(*state_, record);
  if (ready || loaded) state_->eviction_paused = !ready;
  if (!ready) return false;

  TreeWriter writer(*state_);
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  for (auto more = cursor.next(op); more && *more; more = cursor.next(op)) {
    if (op.op == format::LogOpKind::put) writer.put(op.key, op.value);
    if (op.op == format::LogOpKind::erase) writer.erase(op.key);
  }
  if (state_->over_limit()) state_->run_clock(kExaminedPerApply);
  return true;
}

}  // namespace ashlar::store
