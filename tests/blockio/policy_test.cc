// The policy above the engines: every answer that an engine can give.
#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <utility>

#include "tests/blockio/policy_rig.h"

namespace ashlar::blockio::testing {
namespace {

using namespace std::chrono_literals;

TEST_F(Policy, ShortTransfersGoOnWhereTheyEnded) {
  AlignedBuffer data = pattern(4 * kBlock, 1);
  answer({bytes(512), bytes(kBlock), bytes(1024)});
  IoOp write = IoOp::write(kBlock, data.span());
  ASSERT_TRUE(queue->run(write));
  expect_contents(kBlock, data.span());
  ASSERT_EQ(engine->started.size(), 4U);
  EXPECT_EQ(engine->started[1].offset, kBlock + 512);
  EXPECT_EQ(engine->started[3].offset, 2 * kBlock + 1536);
  EXPECT_EQ(queue->statistics().shortened.get(), 3U);
}

TEST_F(Policy, TransfersThatEndInsideASectorAreRepeatedFromItsStart) {
  AlignedBuffer data = pattern(2 * kBlock, 2);
  answer({bytes(700)});
  IoOp write = IoOp::write(0, data.span());
  ASSERT_TRUE(queue->run(write));
  EXPECT_EQ(engine->started.at(1).offset, 512U);
  expect_contents(0, data.span());
}

TEST_F(Policy, NothingMovedIsAnError) {
  AlignedBuffer data(2 * kBlock);
  for (const std::int64_t moved : {0, 511}) {
    answer({bytes(kBlock), bytes(moved)});
    IoOp read = IoOp::read(0, data.span());
    ASSERT_FALSE(queue->run(read));
    EXPECT_EQ(read.error(), ErrorCode::short_transfer);
  }
}

TEST_F(Policy, StepsAreNoLongerThanTheLimitAndTheirMemoryFits) {
  std::vector<AlignedBuffer> buffers;
  std::vector<iovec> segments;
  for (std::size_t i = 0; i < 5; ++i) {
    buffers.push_back(pattern(700 * 1024, i));
    segments.push_back({buffers.back().data(), buffers.back().size()});
  }
  answer({bytes(kBlock)});
  IoOp write = IoOp::writev(0, segments);
  ASSERT_TRUE(queue->run(write));
  for (const Transfer& step : engine->started) EXPECT_LE(step.length, kMaxTransfer);
  for (std::size_t i = 0; i < 5; ++i) expect_contents(i * 700 * 1024, buffers[i].span());
}

TEST_F(Policy, ErrorsAreTheOperationsOwn) {
  reopen(8, false);
  AlignedBuffer data(3 * kBlock);
  answer({{}, error(EIO), {}});
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < 3; ++i) {
    ops.push_back(IoOp::read(i * kBlock, data.span().subspan(i * kBlock, kBlock)));
  }
  const Status status = queue->run(pointers_to(ops));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::io_error);
  EXPECT_TRUE(ops[0].ok());
  EXPECT_FALSE(ops[1].ok());
  EXPECT_TRUE(ops[2].ok());
  EXPECT_EQ(queue->statistics().of(OpKind::read).failed.get(), 1U);
}

// As the kernel reports a sector that is gone, a device that is, and a file behind it that is (NFS). To who reads a
// file they mean: no such attribute, no data from here on, another inode.
TEST_F(Policy, AMediumErrorIsAnIoError) {
  AlignedBuffer data(kBlock);
  for (const int number : {ENODATA, ENODEV, ENXIO, ESTALE}) {
    answer({error(number)});
    IoOp read = IoOp::read(0, data.span());
    EXPECT_FALSE(queue->run(read));
    EXPECT_EQ(read.error(), ErrorCode::io_error) << number;
  }
}

TEST_F(Policy, InterruptionsAreRepeated) {
  AlignedBuffer data = pattern(kBlock, 3);
  answer({error(EAGAIN), error(EINTR), error(EAGAIN)});
  IoOp write = IoOp::write(0, data.span());
  ASSERT_TRUE(queue->run(write));
  expect_contents(0, data.span());
  EXPECT_EQ(queue->statistics().retried.get(), 3U);
}

TEST_F(Policy, ButNotForEver) {
  AlignedBuffer data(kBlock);
  engine->script = [](const Transfer&) { return error(EAGAIN); };
  IoOp read = IoOp::read(0, data.span());
  const auto began = std::chrono::steady_clock::now();
  ASSERT_FALSE(queue->run(read));
  EXPECT_EQ(read.error(), ErrorCode::try_again);
  EXPECT_EQ(engine->started.size(), kMostRetries + 1);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 50ms) << "without a pause";
}

// The kernel takes less than it is given, and now and then nothing.
TEST_F(Policy, PartialSubmission) {
  reopen(16, false);
  engine->most_a_start = 3;
  AlignedBuffer data = pattern(40 * kBlock, 4);
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < 40; ++i) {
    ops.push_back(IoOp::write(i * kBlock, data.span().subspan(i * kBlock, kBlock)));
  }
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  expect_contents(0, data.span());
}

TEST_F(Policy, AnEngineThatTakesNothingFailsTheOperationInTheEnd) {
  engine->most_a_start = 0;
  AlignedBuffer data(kBlock);
  IoOp read = IoOp::read(0, data.span());
  ASSERT_FALSE(queue->run(read));
  EXPECT_EQ(read.error(), ErrorCode::try_again);
  engine->most_a_start = 1;
  EXPECT_TRUE(queue->run(read));
}

TEST_F(Policy, DurableWritesAreOneTransferOrAWriteAndAFlush) {
  AlignedBuffer data(2U << 20);
  IoOp durable = IoOp::write_durable(0, data.span());
  ASSERT_TRUE(queue->run(durable));
  ASSERT_EQ(engine->started.size(), 2U);
  EXPECT_TRUE(engine->started[0].durable && engine->started[1].durable);

  geometry.durable_write_flushes = false;
  engine->started.clear();
  ASSERT_TRUE(queue->run(durable));
  ASSERT_EQ(engine->started.size(), 3U);
  EXPECT_FALSE(engine->started[0].durable || engine->started[1].durable);
  EXPECT_EQ(engine->started[2].kind, OpKind::flush);

  answer({{}, {}, error(EIO)});
  ASSERT_FALSE(queue->run(durable)) << "its flush failed";
  EXPECT_EQ(durable.error(), ErrorCode::io_error);
}

TEST_F(Policy, AWindowIsAddedToEveryOffset) {
  geometry.window_offset = 1U << 20;
  geometry.size = kSize - geometry.window_offset;
  AlignedBuffer data = pattern(kBlock, 5);
  std::vector<IoOp> ops{IoOp::write(0, data.span()), IoOp::discard(kBlock, kBlock),
                        IoOp::write_zeroes(2 * kBlock, kBlock), IoOp::read(8 * kBlock, data.span())};
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  std::vector<std::uint64_t> offsets;
  for (const Transfer& step : engine->started) offsets.push_back(step.offset);
  const std::uint64_t window = geometry.window_offset;
  EXPECT_EQ(offsets, (std::vector{window, window + kBlock, window + 2 * kBlock, window + 8 * kBlock}));
}

class Merging : public Policy {
 protected:
  void write_neighbours(std::size_t count) {
    data = pattern(count * kBlock, 6);
    ops.clear();
    for (std::size_t i = 0; i < count; ++i) {
      ops.push_back(IoOp::write(i * kBlock, data.span().subspan(i * kBlock, kBlock)));
    }
  }

  AlignedBuffer data;
  std::vector<IoOp> ops;
};

TEST_F(Merging, NeighboursGoOutTogether) {
  write_neighbours(20);
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  ASSERT_EQ(engine->started.size(), 1U);
  EXPECT_EQ(engine->started[0].segment_count, 1U) << "they are neighbours in memory too";
  expect_contents(0, data.span());
  EXPECT_EQ(queue->statistics().merged.get(), 19U);
  EXPECT_EQ(queue->statistics().of(OpKind::write).completed.get(), 20U);
}

TEST_F(Merging, UpToTheLimitsOfATransfer) {
  write_neighbours(600);
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  EXPECT_EQ(engine->started.size(), 3U);
  for (const Transfer& step : engine->started) EXPECT_LE(step.length, kMaxTransfer);
  expect_contents(0, data.span());
}

TEST_F(Merging, OthersDoNot) {
  AlignedBuffer memory(8 * kBlock);
  ops.push_back(IoOp::read(0, memory.span().first(kBlock)));
  ops.push_back(IoOp::write(kBlock, memory.span().first(kBlock)));      // another kind
  ops.push_back(IoOp::write(3 * kBlock, memory.span().first(kBlock)));  // a gap
  ops.push_back(IoOp::write(2 * kBlock, memory.span().first(kBlock)));  // backwards
  ops.push_back(IoOp::write_durable(3 * kBlock, memory.span().first(kBlock)));
  ops.push_back(IoOp::write_durable(4 * kBlock, memory.span().first(kBlock)));
  ops.push_back(IoOp::write(5 * kBlock, memory.span().first(kBlock)));
  ops.push_back(IoOp::write(6 * kBlock, memory.span().first(kBlock)));
  ops.back().deadline = 1h;
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  EXPECT_EQ(engine->started.size(), ops.size());
}

// Four in one transfer and another one far away: to complete four, the device need not end both.
TEST_F(Merging, NoMoreIsAwaitedThanMustEnd) {
  write_neighbours(4);
  ops.push_back(IoOp::write(100 * kBlock, data.span().first(kBlock)));
  queue->submit(pointers_to(ops));
  EXPECT_GE(queue->wait(4), 4U);
  EXPECT_EQ(engine->most_awaited, 1U);
  queue->drain();
  // What was merged before does not count any more.
  ops.clear();
  for (const std::uint64_t block : {0U, 2U, 4U, 6U}) {
    ops.push_back(IoOp::write(block * kBlock, data.span().first(kBlock)));
  }
  queue->submit(pointers_to(ops));
  EXPECT_EQ(queue->wait(4), 4U);
  EXPECT_EQ(engine->most_awaited, 4U);
}

TEST_F(Merging, AFailedStepTellsNothingOfItsParts) {
  write_neighbours(4);
  engine->script = [](const Transfer& step) {
    const bool covers_bad = step.offset <= 2 * kBlock && step.offset + step.length > 2 * kBlock;
    return covers_bad ? error(EIO) : Verdict{};
  };
  ASSERT_FALSE(queue->run(pointers_to(ops)));
  for (std::size_t i = 0; i < ops.size(); ++i) EXPECT_EQ(ops[i].ok(), i != 2) << i;
  EXPECT_EQ(engine->started.size(), 5U);
  expect_contents(3 * kBlock, data.span().subspan(3 * kBlock));
}

TEST_F(Merging, ShortStepsCompleteWhatTheyCovered) {
  write_neighbours(4);
  answer({bytes(kBlock + 512), error(EIO), {}, error(ENOSPC), {}});
  ASSERT_FALSE(queue->run(pointers_to(ops)));
  EXPECT_TRUE(ops[0].ok());
  EXPECT_TRUE(ops[1].ok()) << "its rest went out by itself after the common step failed";
  EXPECT_EQ(ops[2].error(), ErrorCode::no_space);
  EXPECT_TRUE(ops[3].ok());
  expect_contents(0, data.span().first(2 * kBlock));
  expect_contents(3 * kBlock, data.span().subspan(3 * kBlock));
}

// Every way in which steps of merged neighbours can end, against what the operations then must say.
TEST_F(Merging, RandomAnswers) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    reopen(3);
    write_neighbours(1 + random() % 12);
    std::vector<bool> bad(ops.size());
    for (std::size_t i = 0; i < bad.size(); ++i) bad[i] = random() % 8 == 0;
    engine->script = [&](const Transfer& step) -> Verdict {
      if (random() % 6 == 0) return error(EAGAIN);
      for (std::uint64_t block = step.offset / kBlock; block * kBlock < step.offset + step.length; ++block) {
        if (bad[block]) return error(EIO);
      }
      if (random() % 3 == 0) return bytes(static_cast<std::int64_t>(512 * (1 + random() % (step.length / 512))));
      return {};
    };
    static_cast<void>(queue->run(pointers_to(ops)));
    for (std::size_t i = 0; i < ops.size(); ++i) {
      ASSERT_TRUE(ops[i].done());
      ASSERT_EQ(ops[i].ok(), !bad[i]) << "round " << round << " operation " << i;
      if (!bad[i]) expect_contents(i * kBlock, data.span().subspan(i * kBlock, kBlock));
    }
  }
}

class Stopping : public Policy {
 protected:
  AlignedBuffer data{4 * kBlock};
  IoOp op = IoOp::read(0, data.span());
  IoOp* const pointer = &op;
};

TEST_F(Stopping, ADeadlineEndsWhatTheEngineCanStop) {
  answer({kHang});
  op.deadline = 5ms;
  ASSERT_FALSE(queue->run(op));
  EXPECT_EQ(op.error(), ErrorCode::timed_out);
  EXPECT_EQ(queue->statistics().cancelled.get(), 1U);
  op.deadline = 1h;
  EXPECT_TRUE(queue->run(op)) << "the same one again";
}

TEST_F(Stopping, WhatTheEngineCannotStopEndsAsItEnds) {
  answer({kHang});
  engine->can_cancel = false;
  op.deadline = 2ms;
  queue->submit(std::span(&pointer, 1));
  EXPECT_EQ(queue->wait(1, 20ms), 0U);
  EXPECT_FALSE(op.done()) << "its memory is still in use";
  engine->release();
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(op.ok());
}

TEST_F(Stopping, APartMovedIsNotSuccess) {
  answer({kHang, bytes(kBlock)});
  engine->can_cancel = false;
  op.deadline = 2ms;
  queue->submit(std::span(&pointer, 1));
  queue->wait(1, 10ms);
  engine->release();
  queue->wait(1);
  ASSERT_TRUE(op.done());
  EXPECT_EQ(op.error(), ErrorCode::timed_out);
  EXPECT_EQ(engine->started.size(), 1U) << "the rest was not sent";
}

TEST_F(Stopping, ADeadlineAlsoEndsRetries) {
  engine->script = [](const Transfer&) { return error(EAGAIN); };
  op.deadline = 10ms;
  ASSERT_FALSE(queue->run(op));
  EXPECT_EQ(op.error(), ErrorCode::timed_out);
  EXPECT_LT(engine->started.size(), kMostRetries);
}

TEST_F(Stopping, Cancel) {
  answer({kHang});
  queue->submit(std::span(&pointer, 1));
  queue->cancel(op);
  queue->cancel(op);
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_EQ(op.error(), ErrorCode::cancelled);
  queue->cancel(op);
  EXPECT_EQ(queue->wait(1), 0U) << "a completed one is left alone";
}

TEST_F(Stopping, CancelBeforeTheEngineTookIt) {
  engine->most_a_start = 1;
  answer({kHang});
  IoOp second = IoOp::read(2U << 20, data.span());
  std::array<IoOp*, 2> both{&op, &second};
  queue->submit(both);
  queue->cancel(second);
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_EQ(second.error(), ErrorCode::cancelled);
  EXPECT_EQ(engine->started.size(), 1U);
  engine->release();
  queue->drain();
  EXPECT_TRUE(op.ok());
}

TEST_F(Stopping, OneDeadlineDoesNotTouchOthers) {
  std::vector<IoOp> ops(3, op);
  for (std::size_t i = 0; i < ops.size(); ++i) ops[i].offset = i * (1U << 20);
  ops[1].deadline = 3ms;
  engine->script = [](const Transfer&) { return kHang; };
  queue->submit(pointers_to(ops));
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_EQ(ops[1].error(), ErrorCode::timed_out);
  engine->script = [](const Transfer&) { return Verdict{}; };
  engine->release();
  queue->drain();
  EXPECT_TRUE(ops[0].ok() && ops[2].ok());
}

TEST_F(Policy, WaitsForABatchInOneReap) {
  reopen(16, false);
  AlignedBuffer data(16 * kBlock);
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < 16; ++i) {
    ops.push_back(IoOp::read(i * kBlock, data.span().subspan(i * kBlock, kBlock)));
  }
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  EXPECT_EQ(engine->reaps, 1);
  EXPECT_EQ(engine->kicks, 0) << "a run() enters the kernel once";
}

// Two reads end together, and each completion submits another one.
TEST_F(Policy, WhatCompletionsSubmitGoesOutTogetherOrEarly) {
  struct Again {
    IoQueue* queue;
    IoOp* next;
    const int* kicks;
    int kicks_seen = -1;
  };
  for (const bool early : {false, true}) {
    reopen(4, false, early);
    AlignedBuffer data(4 * kBlock);
    std::vector<IoOp> ops;
    for (std::size_t i = 0; i < 4; ++i) {
      ops.push_back(IoOp::read(i * kBlock, data.span().subspan(i * kBlock, kBlock)));
    }
    std::array<Again, 2> again{Again{queue.get(), &ops[2], &engine->kicks},
                               Again{queue.get(), &ops[3], &engine->kicks}};
    for (std::size_t i = 0; i < again.size(); ++i) {
      ops[i].context = &again[i];
      ops[i].complete = [](IoOp& op) noexcept {
        auto& mine = *static_cast<Again*>(op.context);
        mine.kicks_seen = *mine.kicks;
        mine.queue->submit(std::span(&mine.next, 1));
      };
    }
    std::array<IoOp*, 2> first{&ops[0], &ops[1]};
    queue->submit(first);
    queue->wait(2);
    EXPECT_EQ(again[1].kicks_seen - again[0].kicks_seen, early ? 1 : 0);
    queue->drain();
    for (const IoOp& op : ops) EXPECT_TRUE(op.done() && op.ok());
  }
}

}  // namespace
}  // namespace ashlar::blockio::testing
