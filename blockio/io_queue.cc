#include "blockio/io_queue.h"

#include <algorithm>

#include "blockio/queue_ledger.h"

namespace ashlar::blockio {

IoQueue::~IoQueue() {
  if (ledger_ != nullptr) ledger_->retire(statistics_);
}

Status IoQueue::run(std::span<IoOp* const> ops) {
  enqueue(ops);
  for (;;) {
    const auto missing = std::count_if(ops.begin(), ops.end(), [](const IoOp* op) { return !op->done(); });
    if (missing == 0) break;
    advance(static_cast<std::size_t>(missing));
  }
  for (const IoOp* op : ops) {
    if (!op->ok()) return fail(op->error());
  }
  return {};
}

Status IoQueue::run(IoOp& op) {
  IoOp* const pointer = &op;
  return run(std::span(&pointer, 1));
}

std::int64_t IoQueue::now() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::int64_t IoQueue::end_of(std::optional<std::chrono::nanoseconds> timeout) noexcept {
  if (!timeout) return kNever;
  const std::int64_t time = now();
  return timeout->count() < kNever - time ? time + std::max<std::int64_t>(timeout->count(), 0) : kNever;
}

void IoQueue::begin(IoOp& op, std::int64_t time) noexcept {
  op.done_ = false;
  op.failed_ = false;
  op.answer = 0;
  op.next_ = nullptr;
  op.time_ = time;
}

void IoQueue::decide(IoOp& op, std::optional<ErrorCode> error) noexcept {
  op.failed_ = error.has_value();
  if (error) op.error_ = *error;
}

void IoQueue::finish(IoOp& op, std::int64_t time) noexcept {
  op.time_ = std::max<std::int64_t>(time - op.time_, 0);
  if (op.kind != OpKind::command) count(op);
  op.done_ = true;
  if (op.complete == nullptr) return;
  ++completions_running_;
  op.complete(op);
  --completions_running_;
}

void IoQueue::count(const IoOp& op) noexcept {
  OperationStatistics& figures = statistics_.of(op.kind);
  figures.completed.add(1);
  if (op.failed_) {
    figures.failed.add(1);
  } else {
    figures.bytes.add(op.length);
  }
  figures.latency.add(static_cast<std::uint64_t>(op.time_));
}

std::int64_t IoQueue::deadline_of(const IoOp& op) noexcept {
  const std::int64_t length = op.deadline.count();
  return length <= 0 || length > kNever - op.time_ ? kNever : op.time_ + length;
}

}  // namespace ashlar::blockio
