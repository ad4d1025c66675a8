#include "blockio/io_queue.h"

#include <algorithm>

namespace ashlar::blockio {

Status IoQueue::run(std::span<IoOp* const> ops) {
  submit(ops);
  while (!std::all_of(ops.begin(), ops.end(), [](const IoOp* op) { return op->done(); })) wait(1);
  for (const IoOp* op : ops) {
    if (!op->ok()) return fail(op->error());
  }
  return {};
}

Status IoQueue::run(IoOp& op) {
  IoOp* const pointer = &op;
  return run(std::span(&pointer, 1));
}

void IoQueue::begin(IoOp& op) noexcept {
  op.done_ = false;
  op.failed_ = false;
}

void IoQueue::finish(IoOp& op) noexcept {
  op.done_ = true;
  if (op.complete != nullptr) op.complete(op);
}

void IoQueue::finish(IoOp& op, ErrorCode error) noexcept {
  op.failed_ = true;
  op.error_ = error;
  finish(op);
}

}  // namespace ashlar::blockio
