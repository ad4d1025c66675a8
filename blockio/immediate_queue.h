// The queue of the doubles: an operation takes effect when it is submitted and completes in wait() or drain().
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "blockio/geometry.h"
#include "blockio/io_queue.h"

namespace ashlar::blockio {

// What the double does. Both functions, and the geometry, outlive the queue.
struct ImmediateActions {
  // Does the work of an operation that check_request() let pass; nullopt when it succeeded. `ticket` may be set for
  // `completing`.
  std::function<std::optional<ErrorCode>(const IoOp& op, std::size_t& ticket)> perform;
  // The submitter is about to learn of the operation's success. May be empty.
  std::function<void(std::size_t ticket)> completing;
};

class ImmediateQueue final : public IoQueue {
 public:
  // The configuration's depth and wakeable count.
  [[nodiscard]] static Result<std::unique_ptr<IoQueue>> open(const Geometry& geometry, const QueueConfig& config,
                                                             ImmediateActions actions);
  ~ImmediateQueue() override;

  void submit(std::span<IoOp* const> ops) override;
  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override;
  void advance(std::size_t min) override { progress(min, kNever, false); }
  void drain() override;
  void cancel(IoOp& op) override;
  [[nodiscard]] Status resize(std::uint32_t depth) override;
  [[nodiscard]] Waker* waker() noexcept override { return waker_.get(); }

 private:
  static constexpr std::size_t kNoTicket = SIZE_MAX;

  struct Outcome {
    IoOp* op;
    std::size_t ticket;
  };

  ImmediateQueue(const Geometry& geometry, const QueueConfig& config, ImmediateActions actions,
                 std::unique_ptr<Waker> waker);
  [[nodiscard]] std::size_t in_flight() const noexcept { return outcomes_.size() + watches_.size(); }
  std::size_t progress(std::size_t min, std::int64_t until, bool heed_wake);
  void await_descriptors(std::int64_t time, std::int64_t until);
  void end_watch(std::size_t index, std::optional<ErrorCode> error);
  void run_outcomes();

  const Geometry& geometry_;
  ImmediateActions actions_;
  std::unique_ptr<Waker> waker_;
  bool woken_ = false;
  bool draining_ = false;
  std::uint64_t completed_ = 0;
  std::deque<Outcome> outcomes_;  // with the watches at most the depth
  std::vector<IoOp*> watches_;
};

// Calls `visit(offset, memory)` for each piece of memory of a transfer.
template <typename Visit>
void for_each_segment(const IoOp& op, Visit visit) {
  std::uint64_t offset = op.offset;
  for (const iovec& segment : op.memory()) {
    visit(offset, std::span(static_cast<std::byte*>(segment.iov_base), segment.iov_len));
    offset += segment.iov_len;
  }
}

}  // namespace ashlar::blockio
