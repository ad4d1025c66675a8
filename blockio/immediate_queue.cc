#include "blockio/immediate_queue.h"

#include <poll.h>

#include <algorithm>

#include "blockio/kernel_forms.h"
#include "blockio/request_check.h"

namespace ashlar::blockio {

Result<std::unique_ptr<IoQueue>> ImmediateQueue::open(const Geometry& geometry, const QueueConfig& config,
                                                      ImmediateActions actions) {
  TRY(check_depth(config.depth));
  std::unique_ptr<Waker> waker;
  if (config.wakeable) waker = TRY(Waker::create());
  return std::unique_ptr<IoQueue>(new ImmediateQueue(geometry, config, std::move(actions), std::move(waker)));
}

ImmediateQueue::ImmediateQueue(const Geometry& geometry, const QueueConfig& config, ImmediateActions actions,
                               std::unique_ptr<Waker> waker)
    : geometry_(geometry), actions_(std::move(actions)), waker_(std::move(waker)) {
  selection_.reason = "a double";
  selection_.depth = config.depth;
}

ImmediateQueue::~ImmediateQueue() { drain(); }

Status ImmediateQueue::resize(std::uint32_t depth) {
  TRY(check_depth(depth));
  if (in_flight() != 0 || is_completing()) return fail(ErrorCode::busy, "operations are in flight");
  selection_.depth = depth;
  return {};
}

void ImmediateQueue::submit(std::span<IoOp* const> ops) {
  for (IoOp* op : ops) {
    const std::int64_t time = now();
    begin(*op, time);
    std::size_t ticket = kNoTicket;
    std::optional<ErrorCode> error = check_request(geometry_, *op);
    if (!error) {
      while (in_flight() >= selection_.depth) progress(1, kNever, false);
      statistics_.count_slot(in_flight() + 1);
      if (op->kind == OpKind::watch) {
        if (!draining_) {
          watches_.push_back(op);
          continue;
        }
        error = ErrorCode::cancelled;
      } else if (op->kind == OpKind::command) {
        error = ErrorCode::not_supported;
      } else if (op->kind == OpKind::compute) {
        op->work(*op);
      } else {
        error = actions_.perform(*op, ticket);
        statistics_.steps.add(1);
      }
    }
    decide(*op, error);
    outcomes_.push_back({op, error ? kNoTicket : ticket});
  }
}

// Not those that completions add: a refused operation that its completion submits again would go on for ever.
void ImmediateQueue::run_outcomes() {
  if (outcomes_.empty()) return;
  const std::int64_t time = now();
  for (std::size_t left = outcomes_.size(); left > 0 && !outcomes_.empty(); --left) {
    const Outcome outcome = outcomes_.front();
    outcomes_.pop_front();
    if (outcome.ticket != kNoTicket && actions_.completing) actions_.completing(outcome.ticket);
    ++completed_;
    finish(*outcome.op, time);
  }
}

std::size_t ImmediateQueue::wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) {
  return progress(min, end_of(timeout), true);
}

std::size_t ImmediateQueue::progress(std::size_t min, std::int64_t until, bool heed_wake) {
  const std::uint64_t before = completed_;
  if (waker_ || !watches_.empty()) await_descriptors(0, 0);
  for (;;) {
    run_outcomes();
    const std::size_t ran = completed_ - before;
    if (heed_wake && std::exchange(woken_, false)) return ran;
    const bool nothing_to_come = in_flight() == 0 && (!waker_ || !heed_wake);
    const std::int64_t time = now();
    if (ran >= min || until <= time || nothing_to_come) return ran;
    if (waker_ || !watches_.empty()) await_descriptors(time, outcomes_.empty() ? until : 0);
  }
}

// Ends the watches whose descriptor is ready or whose deadline passed, and notes a call of the waker.
void ImmediateQueue::await_descriptors(std::int64_t time, std::int64_t until) {
  std::vector<pollfd> sources;
  for (const IoOp* watch : watches_) {
    sources.push_back({watch->descriptor, POLLIN, 0});
    until = std::min(until, deadline_of(*watch));
  }
  if (waker_) sources.push_back({waker_->descriptor(), POLLIN, 0});
  const std::int64_t left = std::max<std::int64_t>(until - time, 0);
  const timespec limit = time_of(std::chrono::nanoseconds(left));
  if (ppoll(sources.data(), sources.size(), until == kNever ? nullptr : &limit, nullptr) < 0) return;
  if (waker_ && sources.back().revents != 0 && waker_->take()) woken_ = true;
  const std::int64_t after = now();
  for (std::size_t i = watches_.size(); i > 0; --i) {
    if (sources[i - 1].revents != 0) {
      end_watch(i - 1,
                (sources[i - 1].revents & POLLNVAL) != 0 ? std::optional(ErrorCode::bad_descriptor) : std::nullopt);
    } else if (deadline_of(*watches_[i - 1]) <= after) {
      end_watch(i - 1, ErrorCode::timed_out);
    }
  }
}

void ImmediateQueue::end_watch(std::size_t index, std::optional<ErrorCode> error) {
  IoOp* const op = watches_[index];
  watches_.erase(watches_.begin() + static_cast<std::ptrdiff_t>(index));
  decide(*op, error);
  outcomes_.push_back({op, kNoTicket});
}

void ImmediateQueue::cancel(IoOp& op) {
  const auto found = std::find(watches_.begin(), watches_.end(), &op);
  if (found == watches_.end()) return;  // it has ended
  statistics_.cancelled.add(1);
  end_watch(static_cast<std::size_t>(found - watches_.begin()), ErrorCode::cancelled);
}

void ImmediateQueue::drain() {
  const bool outer = !std::exchange(draining_, true);
  while (!watches_.empty()) end_watch(0, ErrorCode::cancelled);
  while (in_flight() != 0) progress(1, kNever, false);
  if (outer) draining_ = false;
}

}  // namespace ashlar::blockio
