// Policy where time passes: what an engine does not take, deadlines, wake-ups and helpers. And ranges, which go in
// steps.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/blockio/event.h"
#include "tests/blockio/policy_rig.h"

namespace ashlar::blockio::testing {
namespace {

using namespace std::chrono_literals;

class Waiting : public Policy {
 protected:
  DeviceQueueSetup with_helpers() {
    DeviceQueueSetup setup;
    setup.selection.depth = 8;
    setup.helpers = &helpers;
    return setup;
  }

  Event event{0};
  IoOp watch = IoOp::watch(event.descriptor());
  AlignedBuffer data{4 * kBlock};
  IoOp op = IoOp::read(0, data.span());
  HelperThreads helpers{1};
};

TEST_F(Waiting, WhatIsNotTakenBesideAWatchIsOfferedAgain) {
  submit(watch);
  engine->refusals = 3;
  submit(op);
  EXPECT_EQ(queue->wait(1, 2s), 1U);
  EXPECT_TRUE(op.done() && op.ok());
  queue->cancel(watch);
}

TEST_F(Waiting, WhatIsNeverTakenBesideAWatchFailsInTheEnd) {
  submit(watch);
  engine->most_a_start = 0;
  submit(op);
  EXPECT_EQ(queue->wait(1, 60s), 1U);
  EXPECT_EQ(op.error(), ErrorCode::try_again);
  EXPECT_FALSE(watch.done());
}

// A completion submits the first operation that has a deadline, in the midst of a wait that has none.
TEST_F(Waiting, ADeadlineThatComesUpInAWaitIsKept) {
  engine->script = [](const Transfer&) { return kHang; };
  engine->most_wait = 100ms;
  op.deadline = 5ms;
  IoOp refused = IoOp::read(kSize, data.span());
  struct Next {
    IoQueue* queue;
    IoOp* op;
  } next{queue.get(), &op};
  refused.context = &next;
  refused.complete = [](IoOp& self) noexcept {
    auto& following = *static_cast<Next*>(self.context);
    following.queue->submit(std::span(&following.op, 1));
  };
  submit(refused);
  EXPECT_EQ(queue->wait(2), 2U);
  EXPECT_EQ(op.error(), ErrorCode::timed_out);
  EXPECT_LE(engine->longest_timeout, op.deadline);
}

TEST_F(Waiting, AWakerThatTheKernelDoesNotWatchIsLookedFor) {
  DeviceQueueSetup setup;
  setup.selection.depth = 8;
  setup.waker = *Waker::create();
  reopen(std::move(setup));
  engine->refuses_watches = true;
  for (const bool beside_a_transfer : {false, true}) {
    if (beside_a_transfer) {
      answer({kHang});
      submit(op);
    }
    std::thread caller([this] {
      std::this_thread::sleep_for(20ms);
      queue->waker()->wake();
    });
    EXPECT_EQ(queue->wait(1), 0U);
    caller.join();
  }
  EXPECT_LE(engine->started.size(), 2U) << "one watch and one read: it is not tried again and again";
  engine->release();
  queue->drain();
  EXPECT_TRUE(op.ok());
}

// Jobs of one helper thread that begin when told, and the order in which they complete.
struct Jobs {
  std::atomic<bool> may_begin{false};
  std::atomic<int> ran{0};
  std::vector<IoOp*> completed;

  IoOp job() {
    IoOp op = IoOp::compute(
        [](IoOp& self) noexcept {
          auto& jobs = *static_cast<Jobs*>(self.context);
          while (!jobs.may_begin.load()) std::this_thread::yield();
          ++jobs.ran;
        },
        this);
    op.complete = [](IoOp& self) noexcept { static_cast<Jobs*>(self.context)->completed.push_back(&self); };
    return op;
  }
};

TEST_F(Waiting, HelpersWorkCompletesInOrder) {
  reopen(with_helpers());
  Jobs jobs;
  std::vector<IoOp> ops(6, jobs.job());
  queue->submit(pointers_to(ops));
  jobs.may_begin = true;
  // All before the owner looks.
  while (jobs.ran.load() != 6) std::this_thread::yield();
  std::this_thread::sleep_for(1ms);
  queue->drain();
  EXPECT_EQ(jobs.completed, pointers_to(ops));
}

TEST_F(Waiting, WhatAHelperHasNotBegunCanBeCancelled) {
  reopen(with_helpers());
  Jobs jobs;
  std::vector<IoOp> ops(4, jobs.job());
  ops[3].deadline = 5ms;
  queue->submit(pointers_to(ops));
  queue->cancel(ops[1]);
  EXPECT_EQ(queue->wait(2), 2U);
  EXPECT_EQ(ops[1].error(), ErrorCode::cancelled);
  EXPECT_EQ(ops[3].error(), ErrorCode::timed_out);
  jobs.may_begin = true;
  queue->drain();
  EXPECT_TRUE(ops[0].ok() && ops[2].ok());
  EXPECT_EQ(jobs.ran.load(), 2);
}

TEST_F(Waiting, AnEngineThatBrokeDownEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  engine->break_down(Error{ErrorCode::not_permitted, "io_uring_enter: Operation not permitted"});
  EXPECT_DEATH(static_cast<void>(queue->run(op)), "operations in flight are lost: io_uring_enter");
}

TEST_F(Waiting, LatencyIsTheOperationsOwn) {
  ASSERT_TRUE(queue->run(op));
  EXPECT_GE(op.latency(), 0ns);
  answer({kHang});
  op.deadline = 5ms;
  EXPECT_FALSE(queue->run(op));
  EXPECT_GE(op.latency(), 5ms);
}

TEST_F(Waiting, MeanDepthIsThatOfTheSlots) {
  EXPECT_EQ(queue->statistics().mean_depth(), 0.0);
  std::vector<IoOp> ops(3, IoOp::read(0, data.span()));
  for (std::size_t i = 0; i < ops.size(); ++i) ops[i].offset = i << 20U;
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  EXPECT_EQ(queue->statistics().mean_depth(), 2.0) << "1, 2 and 3 in use";
  ASSERT_TRUE(queue->run(op));
  ASSERT_TRUE(queue->run(op));
  EXPECT_EQ(queue->statistics().mean_depth(), 1.6);
}

class Ranges : public Policy {
 protected:
  static constexpr std::uint64_t kGiB = 1ULL << 30;
};

TEST_F(Ranges, GoInSteps) {
  geometry.size = 8 * kGiB;
  for (IoOp op : {IoOp::discard(kGiB / 2, 2 * kGiB + kBlock), IoOp::write_zeroes(kGiB / 2, 2 * kGiB + kBlock)}) {
    engine->started.clear();
    ASSERT_TRUE(queue->run(op));
    std::vector<std::uint64_t> begins;
    std::uint64_t sum = 0;
    for (const Transfer& step : engine->started) {
      EXPECT_EQ(step.kind, op.kind);
      begins.push_back(step.offset);
      sum += step.length;
    }
    EXPECT_EQ(begins, (std::vector{kGiB / 2, kGiB, 2 * kGiB}));
    EXPECT_EQ(sum, op.length);
  }
}

TEST_F(Ranges, StepsGrowWhileTheyAreQuick) {
  constexpr std::uint64_t kSteps = 256;
  geometry.size = kSteps * kGiB;
  IoOp op = IoOp::discard(0, geometry.size);
  ASSERT_TRUE(queue->run(op));
  EXPECT_LT(engine->started.size(), kSteps);
  std::uint64_t sum = 0;
  for (const Transfer& step : engine->started) {
    EXPECT_EQ(step.offset, sum);
    EXPECT_LE(step.length, kMaxRange);
    sum += step.length;
  }
  EXPECT_EQ(sum, op.length);

  engine->started.clear();
  engine->script = [](const Transfer&) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(2 * kQuickRange));
    return Verdict{};
  };
  op = IoOp::discard(0, 8 * kGiB);
  ASSERT_TRUE(queue->run(op));
  EXPECT_EQ(engine->started.size(), 8U);
}

TEST_F(Ranges, AreStoppedBetweenSteps) {
  geometry.size = 8 * kGiB;
  engine->can_cancel = false;
  answer({kHang});
  IoOp op = IoOp::discard(0, 4 * kGiB);
  submit(op);
  queue->cancel(op);
  engine->release();
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_EQ(op.error(), ErrorCode::cancelled);
  EXPECT_EQ(engine->started.size(), 1U);
}

TEST_F(Ranges, ZerosAreWrittenWhereNothingZeroes) {
  engine->script = [](const Transfer& step) {
    return step.kind == OpKind::write_zeroes ? error(EOPNOTSUPP) : Verdict{};
  };
  constexpr std::size_t kLength = (2U << 20) + 512;
  AlignedBuffer data = pattern(kLength + 2 * kBlock, 1);
  IoOp write = IoOp::write(0, data.span());
  ASSERT_TRUE(queue->run(write));
  engine->started.clear();
  IoOp zero = IoOp::write_zeroes(kBlock, kLength);
  ASSERT_TRUE(queue->run(zero));
  ASSERT_EQ(engine->started.size(), 4U) << "the attempt, two whole steps and the rest";
  std::fill_n(data.data() + kBlock, kLength, std::byte{0});
  expect_contents(0, data.span());
  engine->started.clear();
  ASSERT_TRUE(queue->run(zero));
  EXPECT_EQ(engine->started.size(), 3U) << "and no attempt again";
  IoOp discard = IoOp::discard(0, kBlock);
  engine->script = [](const Transfer&) { return error(EOPNOTSUPP); };
  ASSERT_FALSE(queue->run(discard));
  EXPECT_EQ(discard.error(), ErrorCode::not_supported);
}

// Whatever the engine can do; here the helper finds that there is no device.
TEST_F(Ranges, DiscardingABlockDeviceIsNotForTheEngine) {
  for (const DeviceKind kind : {DeviceKind::block_device, DeviceKind::partition, DeviceKind::loop_device}) {
    geometry.kind = kind;
    IoOp op = IoOp::discard(0, kBlock);
    ASSERT_FALSE(queue->run(op));
    EXPECT_EQ(op.error(), ErrorCode::bad_descriptor);
    EXPECT_TRUE(std::none_of(engine->started.begin(), engine->started.end(),
                             [](const Transfer& step) { return step.kind == OpKind::discard; }));
  }
}

}  // namespace
}  // namespace ashlar::blockio::testing
