#include "blockio/faulty_device.h"

#include <poll.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "blockio/kernel_forms.h"
#include "blockio/request_check.h"

namespace ashlar::blockio {

FaultPlan fail_once(std::uint64_t index) {
  return [index](const FaultQuestion& question) { return question.index == index ? Fault::fail : Fault::none; };
}

FaultPlan fail_from(std::uint64_t index) {
  return [index](const FaultQuestion& question) { return question.index >= index ? Fault::fail : Fault::none; };
}

FaultPlan fail_nth(OpKind kind, std::uint64_t nth) {
  return [kind, nth, seen = std::uint64_t{0}](const FaultQuestion& question) mutable {
    return question.op.kind == kind && seen++ == nth ? Fault::fail : Fault::none;
  };
}

FaultPlan at_random(std::uint64_t seed, std::uint32_t one_in, Fault fault) {
  return [random = std::mt19937_64(seed), one_in, fault](const FaultQuestion&) mutable {
    return random() % one_in == 0 ? fault : Fault::none;
  };
}

// Each operation is sent to the inner queue as a copy, as far as its fault lets it, and completes when that did, or
// later. Both queues have room for the same number, so that the inner one never runs a completion inside a submit().
class FaultyQueue final : public IoQueue {
 public:
  FaultyQueue(FaultyDevice& device, std::unique_ptr<IoQueue> inner, std::unique_ptr<Waker> waker)
      : device_(device), inner_(std::move(inner)), waker_(std::move(waker)) {
    make_copies();
  }
  ~FaultyQueue() override { drain(); }

  void submit(std::span<IoOp* const> ops) override {
    for (IoOp* op : ops) {
      while (free_.empty()) {
        send();
        progress(1, kNever, false);
      }
      Copy& copy = *free_.back();
      free_.pop_back();
      begin(*op, now());
      prepare(copy, *op);
    }
    send();
  }

  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override {
    return progress(min, end_of(timeout), true);
  }

  void advance(std::size_t min) override { progress(min, kNever, false); }

  void drain() override {
    const bool outer = !std::exchange(draining_, true);
    for (Copy& copy : copies_) {
      if (copy.inside && copy.kind == OpKind::watch) inner_->cancel(copy);
    }
    while (in_flight() != 0) progress(1, kNever, false);
    if (outer) draining_ = false;
  }

  void cancel(IoOp& op) override {
    const auto found =
        std::find_if(copies_.begin(), copies_.end(), [&op](const Copy& copy) { return copy.original == &op; });
    if (found != copies_.end() && found->inside) inner_->cancel(*found);
  }

  Status resize(std::uint32_t depth) override {
    if (in_flight() != 0 || is_completing()) return fail(ErrorCode::busy, "operations are in flight");
    TRY(inner_->resize(depth));
    make_copies();
    return {};
  }

  [[nodiscard]] Waker* waker() noexcept override { return waker_.get(); }
  [[nodiscard]] const QueueStatistics& statistics() const noexcept override { return inner_->statistics(); }
  [[nodiscard]] const EngineSelection& selection() const noexcept override { return inner_->selection(); }

 private:
  static constexpr std::int64_t kPause = 100'000;  // nanoseconds between looks at more than one thing

  struct Copy : IoOp {
    FaultyQueue* queue = nullptr;
    IoOp* original = nullptr;  // null: not in use
    Fault fault = Fault::none;
    bool inside = false;  // the inner queue has it
    std::optional<ErrorCode> error;
    std::int64_t due = 0;  // of one that ended
  };

  void make_copies() {
    copies_ = std::vector<Copy>(inner_->selection().depth);
    sent_.reserve(copies_.size());
    free_.clear();
    for (Copy& copy : copies_) {
      copy.queue = this;
      free_.push_back(&copy);
    }
  }

  [[nodiscard]] std::size_t in_flight() const noexcept { return copies_.size() - free_.size(); }

  void prepare(Copy& copy, IoOp& op) {
    static_cast<IoOp&>(copy) = op;
    copy.original = &op;
    copy.complete = [](IoOp& done) noexcept {
      auto& ended = static_cast<Copy&>(done);
      ended.queue->take_back(ended);
    };
    // The work may look at its operation, which is not the copy.
    if (op.work != nullptr) {
      copy.work = [](IoOp& self) noexcept {
        IoOp& original = *static_cast<Copy&>(self).original;
        original.work(original);
      };
    }
    const bool on_device = !is_endless(op.kind) && op.kind != OpKind::compute;
    copy.fault = on_device && !check_request(device_.geometry(), op) ? device_.decide(op) : Fault::none;
    copy.error.reset();
    if (op.kind == OpKind::command) return end_by_itself(copy, ErrorCode::not_supported);
    if (copy.fault == Fault::fail) return end_by_itself(copy, ErrorCode::io_error);
    if (copy.fault == Fault::lose && op.kind != OpKind::read) return end_by_itself(copy, std::nullopt);
    if (draining_ && op.kind == OpKind::watch) return end_by_itself(copy, ErrorCode::cancelled);
    if (copy.fault == Fault::shorten && is_transfer(op.kind)) shorten(copy);
    if (copy.fault == Fault::misdirect && op.length <= device_.geometry().size - op.offset - op.length) {
      copy.offset += op.length;
    }
    copy.inside = true;
    sent_.push_back(&copy);
  }

  // Of a transfer that check_request() let pass.
  [[nodiscard]] static iovec first_piece(const IoOp& op) {
    return *std::find_if(op.memory().begin(), op.memory().end(), [](const iovec& piece) { return piece.iov_len != 0; });
  }

  void shorten(Copy& copy) const {
    const std::uint64_t sector = device_.geometry().logical_sector;
    copy.single = first_piece(copy);
    copy.single.iov_len = std::max(sector, copy.single.iov_len / 2 / sector * sector);
    copy.segments = {};
    copy.length = copy.single.iov_len;
    copy.error = ErrorCode::short_transfer;
  }

  void end_by_itself(Copy& copy, std::optional<ErrorCode> error) {
    copy.error = error;
    copy.due = 0;
    ended_.push_back(&copy);
  }

  // Neighbours in one submit() may be merged by the inner queue.
  void send() {
    inner_->submit(sent_);
    sent_.clear();
  }

  // The inner queue has done with it.
  void take_back(Copy& copy) noexcept {
    copy.inside = false;
    if (!copy.ok()) copy.error = copy.IoOp::error();
    if (copy.ok() && copy.fault == Fault::flip_bit && copy.kind == OpKind::read) {
      const iovec piece = first_piece(copy);
      static_cast<std::byte*>(piece.iov_base)[piece.iov_len / 2] ^= std::byte{1};
    }
    if (copy.fault != Fault::delay) return complete(copy, now());
    copy.due = now() + std::chrono::nanoseconds(kFaultDelay).count();
    ended_.push_back(&copy);
  }

  void complete(Copy& copy, std::int64_t time) noexcept {
    IoOp& op = *std::exchange(copy.original, nullptr);
    decide(op, copy.error);
    free_.push_back(&copy);
    ++completed_;
    finish(op, time);
  }

  std::size_t progress(std::size_t min, std::int64_t until, bool heed_wake) {
    const std::uint64_t before = completed_;
    for (;;) {
      run_due();
      inner_->wait(0, std::chrono::nanoseconds(0));
      const std::size_t ran = completed_ - before;
      if (heed_wake && waker_ && waker_->take()) return ran;
      const bool nothing_to_come = in_flight() == 0 && (!waker_ || !heed_wake);
      if (ran >= min || nothing_to_come || until <= now()) return ran;
      if (ended_.empty() && !(waker_ && heed_wake)) {
        await_inner(min - ran, until);
      } else {
        pause(until, heed_wake);
      }
    }
  }

  void await_inner(std::size_t min, std::int64_t until) {
    if (until == kNever) {
      inner_->wait(min);
    } else {
      inner_->wait(min, std::chrono::nanoseconds(std::max<std::int64_t>(until - now(), 0)));
    }
  }

  // Until something may have happened.
  void pause(std::int64_t until, bool heed_wake) {
    std::int64_t end = std::min(until, now() + kPause);
    for (const Copy* copy : ended_) end = std::min(end, copy->due);
    const std::chrono::nanoseconds length(std::max<std::int64_t>(end - now(), 0));
    if (!waker_ || !heed_wake) return std::this_thread::sleep_for(length);
    pollfd source{waker_->descriptor(), POLLIN, 0};
    const timespec limit = time_of(length);
    static_cast<void>(ppoll(&source, 1, &limit, nullptr));  // an early end does no harm
  }

  // Runs the completions that are due, without those that they add.
  void run_due() {
    const std::int64_t time = now();
    for (std::size_t left = ended_.size(); left > 0 && !ended_.empty(); --left) {
      Copy& copy = *ended_.front();
      ended_.pop_front();
      if (copy.due > time) {
        ended_.push_back(&copy);
      } else {
        complete(copy, time);
      }
    }
  }

  FaultyDevice& device_;
  std::unique_ptr<IoQueue> inner_;
  std::unique_ptr<Waker> waker_;  // the inner queue has none
  std::vector<Copy> copies_;
  std::vector<Copy*> free_;
  std::vector<IoOp*> sent_;  // to be handed to the inner queue
  std::deque<Copy*> ended_;  // that the inner queue does not have (any more)
  std::uint64_t completed_ = 0;
  bool draining_ = false;
};

Result<std::unique_ptr<IoQueue>> FaultyDevice::open_queue(const QueueConfig& config) {
  QueueConfig inner = config;
  inner.wakeable = false;
  std::unique_ptr<Waker> waker;
  if (config.wakeable) waker = TRY(Waker::create());
  std::unique_ptr<IoQueue> queue = TRY(inner_.open_queue(inner));
  if (queue->selection().depth == 0) return fail(ErrorCode::invalid_argument, "a queue that does not tell its depth");
  return std::unique_ptr<IoQueue>(std::make_unique<FaultyQueue>(*this, std::move(queue), std::move(waker)));
}

void FaultyDevice::set_plan(FaultPlan plan) {
  const std::scoped_lock lock(mutex_);
  plan_ = std::move(plan);
  operations_ = 0;
}

std::uint64_t FaultyDevice::operations() const {
  const std::scoped_lock lock(mutex_);
  return operations_;
}

Fault FaultyDevice::decide(const IoOp& op) {
  const std::scoped_lock lock(mutex_);
  const FaultQuestion question{operations_++, op};
  return plan_ ? plan_(question) : Fault::none;
}

}  // namespace ashlar::blockio
