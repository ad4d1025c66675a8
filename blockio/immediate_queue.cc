#include "blockio/immediate_queue.h"

#include <algorithm>

#include "blockio/request_check.h"

namespace ashlar::blockio {

ImmediateQueue::ImmediateQueue(const Geometry& geometry, std::size_t depth, Perform perform)
    : geometry_(geometry), depth_(std::max<std::size_t>(depth, 1)), perform_(std::move(perform)) {}

ImmediateQueue::~ImmediateQueue() { drain(); }

void ImmediateQueue::submit(std::span<IoOp* const> ops) {
  for (IoOp* op : ops) {
    while (outcomes_.size() >= depth_) wait(1, std::nullopt);
    begin(*op);
    std::optional<ErrorCode> error = check_request(geometry_, *op);
    if (!error) error = perform_(*op);
    outcomes_.push_back({op, error});
  }
}

// A completion may submit; what it adds is left for the next call unless `min` asks for it.
std::size_t ImmediateQueue::wait(std::size_t min, std::optional<std::chrono::nanoseconds> /*timeout*/) {
  const std::size_t wanted = std::max(min, outcomes_.size());
  std::size_t ran = 0;
  while (ran < wanted && !outcomes_.empty()) {
    const Outcome outcome = outcomes_.front();
    outcomes_.pop_front();
    ++ran;
    if (outcome.error) {
      finish(*outcome.op, *outcome.error);
    } else {
      finish(*outcome.op);
    }
  }
  return ran;
}

void ImmediateQueue::drain() {
  while (!outcomes_.empty()) wait(1, std::nullopt);
}

}  // namespace ashlar::blockio
