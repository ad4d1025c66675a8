// The queue of the doubles: an operation takes effect when it is submitted and completes in wait() or drain().
#pragma once

#include <deque>
#include <functional>

#include "blockio/geometry.h"
#include "blockio/io_queue.h"

namespace ashlar::blockio {

class ImmediateQueue final : public IoQueue {
 public:
  // `perform` does the work; nullopt when it succeeded. Both it and the geometry outlive the queue.
  using Perform = std::function<std::optional<ErrorCode>(const IoOp&)>;
  ImmediateQueue(const Geometry& geometry, std::size_t depth, Perform perform);
  ~ImmediateQueue() override;

  void submit(std::span<IoOp* const> ops) override;
  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override;
  void drain() override;

 private:
  struct Outcome {
    IoOp* op;
    std::optional<ErrorCode> error;
  };

  const Geometry& geometry_;
  const std::size_t depth_;
  Perform perform_;
  std::deque<Outcome> outcomes_;  // at most depth_
};

// Calls `visit(offset, memory)` for each piece of memory of a transfer.
template <typename Visit>
void for_each_segment(const IoOp& op, Visit visit) {
  std::uint64_t offset = op.offset;
  const auto one = [&](const iovec& segment) {
    visit(offset, std::span(static_cast<std::byte*>(segment.iov_base), segment.iov_len));
    offset += segment.iov_len;
  };
  if (op.segments.empty()) return one(op.single);
  for (const iovec& segment : op.segments) one(segment);
}

}  // namespace ashlar::blockio
