// Watches, wake-ups from other threads, deadlines and cancelling on every kind of queue, and work on helper threads.
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

using namespace std::chrono_literals;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] int reader() const { return ends_[0]; }
  void write() const { EXPECT_EQ(::write(ends_[1], "x", 1), 1); }
  void close_writer() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

class Events : public OnEveryDevice {
 protected:
  static QueueConfig wakeable() {
    QueueConfig config;
    config.wakeable = true;
    return config;
  }
  void submit(IoQueue& queue, IoOp& op) {
    IoOp* const pointer = &op;
    queue.submit(std::span(&pointer, 1));
  }

  Pipe pipe;
  AlignedBuffer data{kBlock};
};

TEST_P(Events, AWatchCompletesWhenThereIsSomethingToRead) {
  const auto queue = rig.queue();
  IoOp watch = IoOp::watch(pipe.reader());
  submit(*queue, watch);
  EXPECT_EQ(queue->wait(1, 2ms), 0U);
  EXPECT_FALSE(watch.done());
  IoOp read = IoOp::read(0, data.span());
  EXPECT_TRUE(queue->run(read)) << "reads go on beside it";
  EXPECT_FALSE(watch.done());
  pipe.write();
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(watch.done() && watch.ok());
}

TEST_P(Events, AWatchCompletesWhenTheOtherEndCloses) {
  const auto queue = rig.queue();
  IoOp watch = IoOp::watch(pipe.reader());
  submit(*queue, watch);
  pipe.close_writer();
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(watch.ok());
}

TEST_P(Events, AWatchWaitsTogetherWithTransfers) {
  const auto queue = rig.queue();
  IoOp watch = IoOp::watch(pipe.reader());
  submit(*queue, watch);
  std::thread writer([this] {
    std::this_thread::sleep_for(3ms);
    pipe.write();
  });
  int transfers = 0;
  while (!watch.done()) {
    IoOp read = IoOp::read(0, data.span());
    EXPECT_TRUE(queue->run(read));
    ++transfers;
  }
  writer.join();
  EXPECT_GE(transfers, 1);
}

TEST_P(Events, RefusesAWatchOnNothing) {
  const auto queue = rig.queue();
  IoOp nothing = IoOp::watch(-1);
  EXPECT_FALSE(queue->run(nothing));
  EXPECT_EQ(nothing.error(), ErrorCode::bad_descriptor);
  IoOp closed = IoOp::watch(1 << 20);
  EXPECT_FALSE(queue->run(closed));
  EXPECT_EQ(closed.error(), ErrorCode::bad_descriptor);
}

TEST_P(Events, CancelEndsAWatch) {
  const auto queue = rig.queue();
  IoOp watch = IoOp::watch(pipe.reader());
  submit(*queue, watch);
  queue->cancel(watch);
  EXPECT_EQ(queue->wait(1), 1U);
  ASSERT_TRUE(watch.done());
  EXPECT_EQ(watch.error(), ErrorCode::cancelled);
}

TEST_P(Events, ADeadlineEndsAWatch) {
  const auto queue = rig.queue();
  IoOp watch = IoOp::watch(pipe.reader());
  watch.deadline = 3ms;
  EXPECT_FALSE(queue->run(watch));
  EXPECT_EQ(watch.error(), ErrorCode::timed_out);
  watch.deadline = 1h;
  submit(*queue, watch);
  pipe.write();
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(watch.ok()) << "the same one again";
}

TEST_P(Events, DeadlinesAndCancelsLoseNoTransfer) {
  QueueConfig config;
  config.depth = 8;
  const auto queue = rig.queue(config);
  AlignedBuffer memory(64 * kBlock);
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < 64; ++i) {
    ops.push_back(IoOp::read(2 * i * kBlock, memory.span().subspan(i * kBlock, kBlock)));
    ops.back().deadline = std::chrono::microseconds(1 + 20 * i);
  }
  queue->submit(pointers_to(ops));
  for (std::size_t i = 0; i < ops.size(); i += 3) queue->cancel(ops[i]);
  queue->drain();
  for (const IoOp& op : ops) {
    EXPECT_TRUE(op.done());
    const bool told = op.ok() || op.error() == ErrorCode::timed_out || op.error() == ErrorCode::cancelled;
    EXPECT_TRUE(told) << describe(op.error());
  }
}

TEST_P(Events, DrainCancelsWatches) {
  auto queue = rig.queue();
  IoOp watch = IoOp::watch(pipe.reader());
  struct Again {
    IoQueue* queue;
    int completions;
  } again{queue.get(), 0};
  watch.context = &again;
  watch.complete = [](IoOp& op) noexcept {
    auto& state = *static_cast<Again*>(op.context);
    IoOp* const pointer = &op;
    // Once more: refused as long as the queue drains.
    if (++state.completions == 1) state.queue->submit(std::span(&pointer, 1));
  };
  submit(*queue, watch);
  queue->drain();
  EXPECT_EQ(again.completions, 2);
  EXPECT_EQ(watch.error(), ErrorCode::cancelled);
  watch.complete = nullptr;
  submit(*queue, watch);
  queue.reset();
  EXPECT_TRUE(watch.done());
}

TEST_P(Events, OnlyWakeableQueuesHaveAWaker) {
  EXPECT_EQ(rig.queue()->waker(), nullptr);
  EXPECT_NE(rig.queue(wakeable())->waker(), nullptr);
}

TEST_P(Events, AWakeEndsTheNextWait) {
  const auto queue = rig.queue(wakeable());
  queue->waker()->wake();
  queue->waker()->wake();
  EXPECT_EQ(queue->wait(1), 0U);
  EXPECT_EQ(queue->wait(1, 2ms), 0U) << "and no other";
  IoOp read = IoOp::read(0, data.span());
  queue->waker()->wake();
  EXPECT_TRUE(queue->run(read));
  EXPECT_EQ(queue->wait(1), 0U) << "a run() does not swallow it";
}

TEST_P(Events, AWakeFromAnotherThreadEndsTheRunningWait) {
  const auto queue = rig.queue(wakeable());
  constexpr int kRounds = 50;
  std::atomic<int> asked{0};
  std::atomic<int> seen{0};
  std::thread caller([&] {
    for (int i = 1; i <= kRounds; ++i) {
      asked.store(i);
      queue->waker()->wake();
      while (seen.load() < i) std::this_thread::yield();
    }
  });
  while (seen.load() < kRounds) {
    queue->wait(1);
    seen.store(asked.load());
  }
  caller.join();
}

TEST_P(Events, WakesInTheMidstOfTransfersLoseNone) {
  const auto queue = rig.queue(wakeable());
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop.load()) {
      queue->waker()->wake();
      std::this_thread::sleep_for(50us);
    }
  });
  std::size_t completed = 0;
  AlignedBuffer memory(8 * kBlock);
  for (int round = 0; round < 30; ++round) {
    std::vector<IoOp> ops;
    for (std::size_t i = 0; i < 8; ++i) {
      ops.push_back(IoOp::read(3 * i * kBlock, memory.span().subspan(i * kBlock, kBlock)));
    }
    queue->submit(pointers_to(ops));
    std::size_t ran = 0;
    while (ran < ops.size()) ran += queue->wait(ops.size() - ran);
    completed += ran;
  }
  stop.store(true);
  caller.join();
  EXPECT_EQ(completed, 240U);
}

struct Sum {
  std::vector<int> numbers = std::vector<int>(1000, 3);
  int result = 0;
  std::thread::id worked_on;
  std::thread::id completed_on;
};

IoOp summing(Sum& sum) {
  IoOp op = IoOp::compute(
      [](IoOp& self) noexcept {
        auto& state = *static_cast<Sum*>(self.context);
        for (const int number : state.numbers) state.result += number;
        state.worked_on = std::this_thread::get_id();
      },
      &sum);
  op.complete = [](IoOp& self) noexcept { static_cast<Sum*>(self.context)->completed_on = std::this_thread::get_id(); };
  return op;
}

TEST_P(Events, WorkCompletesOnTheOwnersThread) {
  const auto queue = rig.queue();
  std::vector<Sum> sums(20);
  std::vector<IoOp> ops;
  for (Sum& sum : sums) ops.push_back(summing(sum));
  ops.push_back(IoOp::read(0, data.span()));
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  for (const Sum& sum : sums) {
    EXPECT_EQ(sum.result, 3000);
    EXPECT_EQ(sum.completed_on, std::this_thread::get_id());
    if (is_real(GetParam())) {
      EXPECT_NE(sum.worked_on, std::this_thread::get_id());
    }
  }
}

TEST_P(Events, WorkInFlightIsWaitedForAtTheEnd) {
  auto queue = rig.queue();
  std::vector<Sum> sums(10);
  std::vector<IoOp> ops;
  for (Sum& sum : sums) ops.push_back(summing(sum));
  queue->submit(pointers_to(ops));
  queue.reset();
  for (const Sum& sum : sums) EXPECT_EQ(sum.result, 3000);
}

TEST_P(Events, WorkWithoutWorkIsRefused) {
  const auto queue = rig.queue();
  IoOp op = IoOp::compute(nullptr, nullptr);
  EXPECT_FALSE(queue->run(op));
  EXPECT_EQ(op.error(), ErrorCode::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Devices, Events, every_subject(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
