#include "blockio/device_queue.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "blockio/kernel_forms.h"
#include "blockio/request_check.h"
#include "fs/base/standard_streams.h"

namespace ashlar::blockio {
namespace {

// How often the kernel may take nothing although nothing is in flight.
constexpr std::uint32_t kMostShortages = 1000;

}  // namespace

DeviceQueue::DeviceQueue(std::unique_ptr<Engine> engine, const Geometry& geometry, DeviceQueueSetup setup)
    : waker_(std::move(setup.waker)),
      engine_(std::move(engine)),
      geometry_(geometry),
      helpers_(setup.helpers),
      descriptor_(setup.descriptor),
      merge_(setup.merge),
      send_early_(setup.send_early),
      wakeable_(waker_ != nullptr),
      open_engine_(std::move(setup.open_engine)) {
  selection_ = std::move(setup.selection);
  make_slots(selection_.depth);
  wake_.kind = OpKind::watch;
  wake_.slot = kNowhere;
}

DeviceQueue::~DeviceQueue() { drain(); }

void DeviceQueue::make_slots(std::size_t count) {
  slots_ = std::vector<OpSlot>(count);
  segments_ = std::make_unique_for_overwrite<iovec[]>(count * kMaxSegments);
  free_.clear();
  free_.reserve(count);
  ready_.reserve(count);
  for (std::size_t i = count; i > 0; --i) {
    OpSlot& slot = slots_[i - 1];
    slot.queue = this;
    slot.run = help;
    slot.segments = segments_.get() + (i - 1) * kMaxSegments;
    free_.push_back(&slot);
  }
}

Status DeviceQueue::resize(std::uint32_t depth) {
  TRY(check_depth(depth));
  if (!is_idle() || is_completing()) return fail(ErrorCode::busy, "operations are in flight");
  if (!open_engine_) return fail(ErrorCode::not_supported, "the engine has one depth");
  OpenedEngine opened = TRY(open_engine_(*this, depth));
  engine_ = std::move(opened.engine);
  // The watch ended with the engine that had it.
  wake_armed_ = wake_refused_ = false;
  unsent_ = false;
  opened.selection.reason = std::move(selection_.reason);
  selection_ = std::move(opened.selection);
  make_slots(selection_.depth);
  return {};
}

void DeviceQueue::submit(std::span<IoOp* const> ops) {
  enqueue(ops);
  // From completions they all go together, when those have run.
  if (completing_ == 0) send();
}

void DeviceQueue::send() {
  start_ready();
  if (!std::exchange(unsent_, false)) return;
  engine_->kick();
  check_engine();
}

// The memory of what is in flight may be written to at any time, and nobody would ever learn that it was.
void DeviceQueue::give_up() const noexcept {
  print(stderr, "blockio: operations in flight are lost: {}\n", engine_->failure()->message());
  std::abort();
}

void DeviceQueue::enqueue(std::span<IoOp* const> ops) {
  const std::int64_t time = now();
  OpSlot* open = nullptr;  // where the next one may join
  const auto close = [&] {
    if (open != nullptr) prepare_step(*std::exchange(open, nullptr));
  };
  for (IoOp* op : ops) {
    begin(*op, time);
    std::optional<ErrorCode> refusal = check_request(geometry_, *op);
    if (draining_ && op->kind == OpKind::watch) refusal = ErrorCode::cancelled;
    if (refusal) {
      decide(*op, refusal);
      place_of(*op) = kNowhere;
      ended_.push(*op);
      continue;
    }
    if (open != nullptr && may_join(*open, *op)) {
      join(*open, *op);
      continue;
    }
    close();
    while (free_.empty()) progress(1, kNever, false);
    open = &take_slot(*op);
  }
  close();
}

bool DeviceQueue::may_join(const OpSlot& slot, const IoOp& op) const noexcept {
  if (!merge_ || (op.kind != OpKind::read && op.kind != OpKind::write)) return false;
  const IoOp& before = *slot.last;
  return before.kind == op.kind && before.offset + before.length == op.offset && op.deadline.count() == 0 &&
         before.deadline.count() == 0 && slot.length + op.length <= kMaxTransfer &&
         slot.segment_count + std::max<std::size_t>(op.segments.size(), 1) <= kMaxSegments;
}

void DeviceQueue::join(OpSlot& slot, IoOp& op) {
  next_of(*slot.last) = &op;
  slot.last = &op;
  slot.length += op.length;
  slot.segment_count += std::max<std::size_t>(op.segments.size(), 1);
  place_of(op) = place_of(*slot.first);
  ++joined_;
  statistics_.merged.add(1);
}

OpSlot& DeviceQueue::take_slot(IoOp& op) {
  OpSlot& slot = *free_.back();
  free_.pop_back();
  if (op.kind != OpKind::command) statistics_.count_slot(slots_.size() - free_.size());
  slot.first = &op;
  slot.last = &op;
  slot.length = op.length;
  slot.moved = 0;
  slot.segment_count = std::max<std::size_t>(op.segments.size(), 1);
  slot.range = kFirstRange;
  slot.retries = 0;
  slot.flushing = slot.one_by_one = slot.cancelled = slot.expired = false;
  slot.unplain = op.length > kMaxTransfer || is_endless(op.kind) || needs_helper(op.kind) || needs_second_flush(op);
  if (slot.unplain) ++unplain_;
  slot.deadline = deadline_of(op);
  if (slot.deadline != kNever) set_timer(slot.deadline);
  place_of(op) = static_cast<std::uint32_t>(&slot - slots_.data());
  return slot;
}

void DeviceQueue::start_ready() {
  if (ready_.empty()) return;
  const std::size_t taken = engine_->start(ready_);
  for (std::size_t i = 0; i < taken; ++i) {
    slots_[ready_[i]->slot].place = OpSlot::Place::engine;
    if (ready_[i]->kind != OpKind::command) statistics_.steps.add(1);
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(taken));
  in_engine_ += taken;
  unsent_ = unsent_ || taken != 0;
  if (taken != 0 || awaits_device()) {
    shortages_ = 0;
    return;
  }
  // The kernel is short of something and there is nothing of ours to wait for.
  if (++shortages_ < kMostShortages) return std::this_thread::sleep_for(kShortageDelay);
  shortages_ = 0;
  OpSlot& slot = slots_[ready_.front()->slot];
  ready_.erase(ready_.begin());
  slot.one_by_one = true;
  fail_step(slot, ErrorCode::try_again);
}

bool DeviceQueue::awaits_device() const noexcept {
  return in_engine_ != 0 && std::any_of(slots_.begin(), slots_.end(), [](const OpSlot& slot) {
           return slot.place == OpSlot::Place::engine && !is_endless(slot.transfer.kind);
         });
}

void DeviceQueue::run_ended() {
  if (ended_.empty()) return;
  const std::int64_t time = now();
  ++completing_;
  // Not those that completions add: a refused operation that its completion submits again would go on for ever.
  for (std::size_t left = ended_.size(); left > 0 && !ended_.empty(); --left) {
    ++completed_;
    finish(ended_.pop(), time);
    if (send_early_ && !ready_.empty()) send();
  }
  --completing_;
}

std::size_t DeviceQueue::wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) {
  return progress(min, end_of(timeout), true);
}

void DeviceQueue::advance(std::size_t min) { progress(min, kNever, false); }

std::size_t DeviceQueue::progress(std::size_t min, std::int64_t until, bool heed_wake) {
  const std::uint64_t before = completed_;
  for (;;) {
    std::int64_t time = until != kNever || next_timer_ != kNever ? now() : 0;
    if (next_timer_ <= time) fire_timers(time);
    const std::uint64_t before_these = completed_;
    run_ended();
    start_ready();
    // Completions take their time, and what they submit may have the first deadline.
    if ((until != kNever || next_timer_ != kNever) && (time == 0 || completed_ != before_these)) time = now();
    std::size_t ran = completed_ - before;
    if (is_idle() && (!wakeable_ || !heed_wake || ran >= min)) return ran;
    const bool enough = ran >= min || until <= time || (heed_wake && woken_) || !ended_.empty();
    reap(enough ? 0 : min - ran, time, std::min(until, next_timer_));
    run_ended();
    ran = completed_ - before;
    if (ran >= min || until <= time || (heed_wake && woken_)) {
      if (heed_wake) woken_ = false;
      send();
      return ran;
    }
  }
}

// Waits for `min` transfers (fewer where something else may happen that the caller must see), until `until`.
void DeviceQueue::reap(std::size_t min, std::int64_t time, std::int64_t until) {
  std::optional<std::chrono::nanoseconds> timeout;
  if (until != kNever) timeout = std::chrono::nanoseconds(std::max<std::int64_t>(until - time, 0));
  if (min == 0) timeout = std::chrono::nanoseconds(0);
  const bool expects_wake = wakeable_ || helped_in_flight_ != 0;
  if (expects_wake) arm_wake();
  const bool unwatched = expects_wake && !wake_armed_;
  // What the engine did not take is offered again soon, and a wake that it does not watch for is looked for.
  if (!ready_.empty() || (unwatched && in_engine_ != 0)) {
    timeout = std::min(timeout.value_or(kShortageDelay), kShortageDelay);
  }
  if (in_engine_ != 0 || wake_armed_) {
    const bool plain = unplain_ == 0 && !wake_armed_ && ready_.empty();
    // One transfer may end as many operations as have joined others.
    const std::size_t transfers = std::max(min - std::min(min, joined_), std::min<std::size_t>(min, 1));
    const std::size_t wanted = plain ? std::min(transfers, in_engine_) : std::min<std::size_t>(min, 1);
    static_cast<void>(reap_engine(wanted, timeout));
  } else if (unwatched) {
    await_wake(timeout);
  } else if (timeout && ready_.empty()) {
    std::this_thread::sleep_for(*timeout);
  }
  if (expects_wake && !wake_armed_) {
    if (waker_->take()) woken_ = true;
    collect_helped();
  }
}

// Without the engine. An early end does no harm.
void DeviceQueue::await_wake(std::optional<std::chrono::nanoseconds> timeout) {
  pollfd source{waker_->descriptor(), POLLIN, 0};
  const timespec limit = time_of(timeout.value_or(std::chrono::nanoseconds(0)));
  static_cast<void>(ppoll(&source, 1, timeout ? &limit : nullptr, nullptr));
}

std::size_t DeviceQueue::reap_engine(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) {
  // Not a member: completions may submit and wait, and so come here again.
  std::array<Transfer*, kReapBatch> finished;
  unsent_ = false;
  const std::size_t count = engine_->reap(min, timeout, finished);
  check_engine();
  for (std::size_t i = 0; i < count; ++i) {
    if (finished[i] == &wake_) {
      wake_armed_ = false;
      wake_refused_ = wake_.result < 0;
      continue;
    }
    --in_engine_;
    settle(slots_[finished[i]->slot]);
  }
  return count;
}

void DeviceQueue::arm_wake() {
  if (wake_armed_ || wake_refused_ || !engine_->handles(OpKind::watch)) return;
  wake_.watched = waker_->descriptor();
  Transfer* const pointer = &wake_;
  wake_armed_ = engine_->start(std::span(&pointer, 1)) == 1;
}

void DeviceQueue::cancel_watches() {
  for (OpSlot& slot : slots_) {
    if (slot.place != OpSlot::Place::free && slot.first->kind == OpKind::watch && !slot.cancelled) {
      slot.cancelled = true;
      stop(slot);
    }
  }
}

void DeviceQueue::drain() {
  const bool outer = !std::exchange(draining_, true);
  cancel_watches();
  while (!is_idle()) progress(1, kNever, false);
  if (outer) draining_ = false;
}

void DeviceQueue::cancel(IoOp& op) {
  const std::uint32_t place = place_of(op);
  if (op.done() || place >= slots_.size()) return;
  OpSlot& slot = slots_[place];
  if (slot.first != &op || slot.last != &op || slot.place == OpSlot::Place::free || slot.is_stopping()) return;
  slot.cancelled = true;
  stop(slot);
}

}  // namespace ashlar::blockio
