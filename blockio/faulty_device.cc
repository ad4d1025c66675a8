#include "blockio/faulty_device.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <thread>

#include "blockio/immediate_queue.h"

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

// Operations that go right pass through to the inner queue; the others are carried out when submitted and complete in
// wait().
class FaultyQueue final : public IoQueue {
 public:
  FaultyQueue(FaultyDevice& device, std::unique_ptr<IoQueue> inner) : device_(device), inner_(std::move(inner)) {}
  ~FaultyQueue() override { drain(); }

  void submit(std::span<IoOp* const> ops) override {
    for (IoOp* op : ops) {
      const bool on_device = op->kind != OpKind::watch && op->kind != OpKind::compute;
      const Fault fault = on_device ? device_.decide(*op) : Fault::none;
      if (fault == Fault::none) {
        inner_->submit(std::span(&op, 1));
        continue;
      }
      const std::int64_t time = now();
      begin(*op, time);
      decide(*op, perform(*op, fault));
      const std::int64_t due = fault == Fault::delay ? time + std::chrono::nanoseconds(kFaultDelay).count() : time;
      ended_.push_back({op, due});
    }
  }

  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override {
    return progress(min, end_of(timeout), true);
  }

  void advance(std::size_t min) override { progress(min, kNever, false); }

  void drain() override {
    do {
      inner_->drain();
      while (!ended_.empty()) wait(1, std::nullopt);
      // Completions of those may have submitted others.
    } while (inner_->wait(0, std::chrono::nanoseconds(0)) != 0 || !ended_.empty());
    inner_->drain();
  }

  void cancel(IoOp& op) override {
    const bool here = std::any_of(ended_.begin(), ended_.end(), [&op](const Ended& ended) { return ended.op == &op; });
    if (!here) inner_->cancel(op);
  }

  [[nodiscard]] Waker* waker() noexcept override { return inner_->waker(); }
  [[nodiscard]] const QueueStatistics& statistics() const noexcept override { return inner_->statistics(); }
  [[nodiscard]] const EngineSelection& selection() const noexcept override { return inner_->selection(); }

 private:
  static constexpr std::int64_t kPause = 100'000;

  struct Ended {
    IoOp* op;
    std::int64_t due;
  };

  [[nodiscard]] std::int64_t earliest() const noexcept {
    std::int64_t due = kNever;
    for (const Ended& ended : ended_) due = std::min(due, ended.due);
    return due;
  }

  // A call of the waker belongs to the inner queue's wait(), so without `heed_wake` that waits only for what is in
  // flight there.
  std::size_t progress(std::size_t min, std::int64_t until, bool heed_wake) {
    std::size_t ran = 0;
    for (;;) {
      ran += run_due();
      const std::int64_t time = now();
      const std::int64_t due = earliest();
      if (ran >= min || until <= time) return ran + step_inner(0, 0, heed_wake);
      if (ended_.empty()) return ran + step_inner(min - ran, until, heed_wake);
      const std::size_t inner_ran = step_inner(0, 0, false);
      ran += inner_ran;
      if (inner_ran == 0) std::this_thread::sleep_for(std::chrono::nanoseconds(std::clamp(due - time, 0L, kPause)));
    }
  }

  std::size_t step_inner(std::size_t min, std::int64_t until, bool heed_wake) {
    const std::uint64_t before = inner_completed();
    if (!heed_wake) {
      inner_->advance(min);
    } else if (until == kNever) {
      inner_->wait(min);
    } else {
      inner_->wait(min, std::chrono::nanoseconds(std::max<std::int64_t>(until - now(), 0)));
    }
    return inner_completed() - before;
  }

  [[nodiscard]] std::uint64_t inner_completed() const noexcept {
    std::uint64_t sum = 0;
    for (std::size_t kind = 0; kind < kOpKinds; ++kind) {
      sum += inner_->statistics().of(static_cast<OpKind>(kind)).completed.get();
    }
    return sum;
  }

  // Runs the completions that are due, without those that they add.
  std::size_t run_due() {
    if (ended_.empty()) return 0;
    const std::int64_t time = now();
    std::size_t ran = 0;
    for (std::size_t left = ended_.size(); left > 0 && !ended_.empty(); --left) {
      const Ended ended = ended_.front();
      ended_.pop_front();
      if (ended.due > time) {
        ended_.push_back(ended);
        continue;
      }
      ++ran;
      finish(*ended.op, time);
    }
    return ran;
  }

  std::optional<ErrorCode> perform(IoOp& op, Fault fault) {
    if (fault == Fault::fail) return ErrorCode::io_error;
    if (fault == Fault::lose && op.kind != OpKind::read) return std::nullopt;
    IoOp copy = op;
    copy.complete = nullptr;
    const bool transfers = op.kind == OpKind::read || op.kind == OpKind::write || op.kind == OpKind::write_durable;
    std::optional<ErrorCode> error;
    iovec half{};
    if (fault == Fault::shorten && transfers) {
      const std::uint64_t sector = device_.geometry().logical_sector;
      half = op.segments.empty() ? op.single : op.segments.front();
      half.iov_len = std::max(sector, half.iov_len / 2 / sector * sector);
      copy.segments = {};
      copy.single = half;
      copy.length = half.iov_len;
      error = ErrorCode::short_transfer;
    }
    if (fault == Fault::misdirect && op.length <= device_.geometry().size - op.offset - op.length)
      copy.offset += op.length;
    if (const Status status = inner_->run(copy); !status) return status.error().code();
    if (fault == Fault::flip_bit && op.kind == OpKind::read) {
      bool flipped = false;
      for_each_segment(op, [&flipped](std::uint64_t, std::span<std::byte> memory) {
        if (!flipped && !memory.empty()) memory[memory.size() / 2] ^= std::byte{1};
        flipped = true;
      });
    }
    return error;
  }

  FaultyDevice& device_;
  std::unique_ptr<IoQueue> inner_;
  std::deque<Ended> ended_;  // of one submit and what came before it without a wait
};

Result<std::unique_ptr<IoQueue>> FaultyDevice::open_queue(const QueueConfig& config) {
  return std::unique_ptr<IoQueue>(std::make_unique<FaultyQueue>(*this, TRY(inner_.open_queue(config))));
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
