// The log: what it would change, kept in memory.
#include "fs/format/log.h"
#include "fs/format/places.h"
#include "fs/store/log/log_reader.h"
#include "fsck/context.h"

namespace ashlar::fsck {
namespace {

// All or nothing of a record counts, so one that is malformed at its end must not be half applied.
Status check_whole(std::span<const std::byte> record) {
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (TRY(cursor.next(op))) {
  }
  return {};
}

Status take_record(CheckContext& context, std::span<const std::byte> record) {
  TRY(check_whole(record));
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (TRY(cursor.next(op))) {
    switch (op.op) {
      case format::LogOpKind::put:
      case format::LogOpKind::sparse_put:
        (*context.overlay)[op.key] = std::vector<std::byte>(op.value.begin(), op.value.end());
        break;
      case format::LogOpKind::erase: (*context.overlay)[op.key] = std::nullopt; break;
      case format::LogOpKind::allocate:
      case format::LogOpKind::free: {
        const std::uint64_t count = context.layout.block_count();
        if (op.run.count == 0 || op.run.first.value() >= count || op.run.count > count - op.run.first.value() ||
            context.layout.touches_fixed(op.run)) {
          context.report.add(FindingId::log_record_bad, op.run.first.value());
          break;
        }
        // What touches no fixed part reaches into the next group at most.
        const CheckContext::RunChange change{op.run, op.op == format::LogOpKind::allocate};
        const std::uint32_t first = context.layout.group_of(op.run.first);
        const std::uint32_t last = context.layout.group_of(op.run.end() - 1);
        context.run_changes[first].push_back(change);
        if (last != first) context.run_changes[last].push_back(change);
        break;
      }
      case format::LogOpKind::counter:
        if (op.counter == format::Counter::next_inode)
          context.next_inode = std::max(context.next_inode, op.counter_value);
        break;
      case format::LogOpKind::witness: break;
    }
  }
  return {};
}

}  // namespace

Status pass_log(CheckContext& context) {
  context.next_inode = context.superblock.next_inode;
  const Result<store::LogEnd> end =
      store::read_log(context.io, context.superblock,
                      [&context](Lsn, std::span<const std::byte> record) { return take_record(context, record); });
  if (!end) {
    if (end.error().code() == ErrorCode::out_of_memory) return fail(ErrorCode::out_of_memory);
    context.report.add(FindingId::log_unreadable, end.error().message());
    return {};
  }
  if (end->lost_upto) context.report.add(FindingId::log_cut, format::log_block(context.layout, end->next).value());
  if (!end->unreadable.empty()) context.report.add(FindingId::log_unreadable, end->unreadable);
  if (end->ends_at_unreadable_data) {
    context.report.add(FindingId::log_unreadable, "data that it names: " + end->unreadable_data);
  } else if (!end->unreadable_data.empty()) {
    context.report.add(FindingId::log_data_unreadable, end->unreadable_data);
  }
  if (end->records != 0) context.report.add(FindingId::log_not_empty, end->records);
  if (end->distrusted != 0) context.report.add(FindingId::log_distrusted, end->distrusted);
  return {};
}

}  // namespace ashlar::fsck
