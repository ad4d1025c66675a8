#include "blockio/faulty_device.h"

#include <deque>
#include <memory>
#include <random>

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

// Operations that go right pass through to the inner queue; the others are decided when submitted and complete in
// wait().
class FaultyQueue final : public IoQueue {
 public:
  FaultyQueue(FaultyDevice& device, std::unique_ptr<IoQueue> inner) : device_(device), inner_(std::move(inner)) {}
  ~FaultyQueue() override { drain(); }

  void submit(std::span<IoOp* const> ops) override {
    for (IoOp* op : ops) {
      const Fault fault = device_.decide(*op);
      if (fault == Fault::none) {
        inner_->submit(std::span(&op, 1));
      } else {
        begin(*op);
        ended_.push_back({op, perform(*op, fault)});
      }
    }
  }

  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override {
    std::size_t ran = 0;
    while (!ended_.empty()) {
      const Ended ended = ended_.front();
      ended_.pop_front();
      ++ran;
      if (ended.error) {
        finish(*ended.op, *ended.error);
      } else {
        finish(*ended.op);
      }
    }
    return ran + inner_->wait(min > ran ? min - ran : 0, timeout);
  }

  void drain() override {
    while (!ended_.empty()) wait(0, std::nullopt);
    inner_->drain();
  }

 private:
  struct Ended {
    IoOp* op;
    std::optional<ErrorCode> error;
  };

  std::optional<ErrorCode> perform(IoOp& op, Fault fault) {
    if (fault == Fault::fail) return ErrorCode::io_error;
    if (fault == Fault::lose && op.kind != OpKind::read) return std::nullopt;
    IoOp copy = op;
    copy.complete = nullptr;
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
    return std::nullopt;
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
