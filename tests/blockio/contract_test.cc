// What every queue promises when nothing goes wrong.
#include <algorithm>
#include <array>
#include <thread>

#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

using namespace std::chrono_literals;

class Contract : public OnEveryDevice {
 protected:
  void expect_contents(IoQueue& queue, std::uint64_t offset, std::span<const std::byte> expected) {
    AlignedBuffer back(expected.size());
    IoOp read = IoOp::read(offset, back.span());
    ASSERT_TRUE(queue.run(read));
    EXPECT_TRUE(same(back.span(), expected)) << "at " << offset;
  }
};

TEST_P(Contract, ReadsWhatWasWritten) {
  const auto queue = rig.queue();
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{512}, kDeviceSize - kBlock}) {
    AlignedBuffer data = pattern(kBlock, offset);
    IoOp write = IoOp::write(offset, data.span());
    ASSERT_TRUE(queue->run(write));
    EXPECT_TRUE(write.done());
    EXPECT_TRUE(write.ok());
    expect_contents(*queue, offset, data.span());
  }
}

TEST_P(Contract, TransfersMoreThanOneStepAtOnce) {
  const auto queue = rig.queue();
  AlignedBuffer data = pattern((5U << 20) + 512, 1);
  IoOp write = IoOp::write(4096, data.span());
  ASSERT_TRUE(queue->run(write));
  expect_contents(*queue, 4096, data.span());
}

TEST_P(Contract, GathersAndScattersSegments) {
  const auto queue = rig.queue();
  AlignedBuffer data = pattern(3U << 20, 2);
  // Lengths that make the steps of 1 MiB begin in the middle of segments.
  std::vector<iovec> segments;
  std::size_t at = 0;
  for (std::size_t i = 0; at < data.size(); ++i) {
    const std::size_t length = std::min<std::size_t>((1 + i % 7) * 4096 + 512 * 8 * 3, data.size() - at);
    segments.push_back({data.data() + at, length});
    at += length;
  }
  ASSERT_LE(segments.size(), kMaxSegments);
  IoOp write = IoOp::writev(8192, segments);
  ASSERT_TRUE(queue->run(write));
  expect_contents(*queue, 8192, data.span());

  AlignedBuffer back(data.size());
  for (iovec& segment : segments) {
    segment.iov_base = back.data() + (static_cast<std::byte*>(segment.iov_base) - data.data());
  }
  IoOp read = IoOp::readv(8192, segments);
  ASSERT_TRUE(queue->run(read));
  EXPECT_TRUE(same(back.span(), data.span()));
}

TEST_P(Contract, TakesMoreOperationsThanItsDepth) {
  QueueConfig config;
  config.depth = 4;
  const auto queue = rig.queue(config);
  constexpr std::size_t kCount = 100;
  AlignedBuffer data = pattern(kCount * kBlock, 3);
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < kCount; ++i) {
    // Every other block first, so that neighbours in the batch are not neighbours on the device.
    const std::size_t block = i < kCount / 2 ? 2 * i : 2 * (i - kCount / 2) + 1;
    ops.push_back(IoOp::write(block * kBlock, data.span().subspan(block * kBlock, kBlock)));
  }
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  for (const IoOp& op : ops) EXPECT_TRUE(op.done());
  expect_contents(*queue, 0, data.span());
}

TEST_P(Contract, KeepsNeighboursInABatchApart) {
  const auto queue = rig.queue();
  constexpr std::size_t kCount = 40;
  AlignedBuffer data = pattern(kCount * kBlock, 4);
  std::vector<IoOp> writes;
  for (std::size_t i = 0; i < kCount; ++i) {
    writes.push_back(IoOp::write(i * kBlock, data.span().subspan(i * kBlock, kBlock)));
  }
  ASSERT_TRUE(queue->run(pointers_to(writes)));
  AlignedBuffer back(data.size());
  std::vector<IoOp> reads;
  for (std::size_t i = 0; i < kCount; ++i) {
    reads.push_back(IoOp::read(i * kBlock, back.span().subspan(i * kBlock, kBlock)));
  }
  ASSERT_TRUE(queue->run(pointers_to(reads)));
  EXPECT_TRUE(same(back.span(), data.span()));
}

TEST_P(Contract, FlushesAndWritesDurably) {
  const auto queue = rig.queue();
  AlignedBuffer data = pattern((1U << 20) + kBlock, 5);
  IoOp durable = IoOp::write_durable(kBlock, data.span());
  ASSERT_TRUE(queue->run(durable));
  expect_contents(*queue, kBlock, data.span());
  IoOp flush = IoOp::flush();
  EXPECT_TRUE(queue->run(flush));
}

TEST_P(Contract, WritesZeroesAndDiscards) {
  const auto queue = rig.queue();
  AlignedBuffer data = pattern(16 * kBlock, 6);
  IoOp write = IoOp::write(0, data.span());
  ASSERT_TRUE(queue->run(write));
  IoOp zero = IoOp::write_zeroes(4 * kBlock, 2 * kBlock);
  ASSERT_TRUE(queue->run(zero));
  IoOp discard = IoOp::discard(8 * kBlock, 2 * kBlock);
  ASSERT_TRUE(queue->run(discard));
  std::fill_n(data.data() + 4 * kBlock, 2 * kBlock, std::byte{0});
  expect_contents(*queue, 0, data.span().first(8 * kBlock));
  expect_contents(*queue, 10 * kBlock, data.span().subspan(10 * kBlock));
}

TEST_P(Contract, AllKindsInOneBatch) {
  const auto queue = rig.queue();
  AlignedBuffer data = pattern(4 * kBlock, 7);
  AlignedBuffer back(kBlock);
  std::vector<IoOp> ops;
  ops.push_back(IoOp::write(0, data.span().first(kBlock)));
  ops.push_back(IoOp::write_zeroes(64 * kBlock, kBlock));
  ops.push_back(IoOp::read(32 * kBlock, back.span()));
  ops.push_back(IoOp::discard(65 * kBlock, kBlock));
  ops.push_back(IoOp::write_durable(kBlock, data.span().subspan(kBlock, kBlock)));
  ops.push_back(IoOp::flush());
  EXPECT_TRUE(queue->run(pointers_to(ops)));
  for (const IoOp& op : ops) EXPECT_TRUE(op.done() && op.ok());
  expect_contents(*queue, 0, data.span().first(2 * kBlock));
}

struct Counted {
  int completions = 0;
  bool inside_submit = false;
  bool completed_inside_submit = false;
};

void count(IoOp& op) noexcept {
  auto& counted = *static_cast<Counted*>(op.context);
  ++counted.completions;
  counted.completed_inside_submit |= counted.inside_submit;
}

TEST_P(Contract, CompletesOnceAndNeverInsideSubmit) {
  const auto queue = rig.queue();
  AlignedBuffer data(kBlock);
  Counted counted;
  std::vector<IoOp> ops(3, IoOp::read(0, data.span()));
  ops[1].offset = kDeviceSize;  // refused
  ops[2] = IoOp::flush();
  for (IoOp& op : ops) {
    op.complete = count;
    op.context = &counted;
  }
  counted.inside_submit = true;
  queue->submit(pointers_to(ops));
  counted.inside_submit = false;
  EXPECT_FALSE(counted.completed_inside_submit);
  queue->drain();
  EXPECT_EQ(counted.completions, 3);
  EXPECT_EQ(queue->wait(1, 0ns), 0U);
  EXPECT_EQ(counted.completions, 3);
}

struct Chain {
  IoQueue* queue = nullptr;
  int left = 0;
};

void submit_again(IoOp& op) noexcept {
  auto& chain = *static_cast<Chain*>(op.context);
  if (chain.left-- <= 0) return;
  op.offset = static_cast<std::uint64_t>(chain.left) * kBlock;
  IoOp* const pointer = &op;
  chain.queue->submit(std::span(&pointer, 1));
}

TEST_P(Contract, CompletionsMaySubmit) {
  QueueConfig config;
  config.depth = 2;
  const auto queue = rig.queue(config);
  AlignedBuffer data(2 * kBlock);
  Chain chain{queue.get(), 50};
  std::vector<IoOp> ops;
  ops.push_back(IoOp::read(0, data.span().first(kBlock)));
  ops.push_back(IoOp::read(0, data.span().subspan(kBlock)));
  for (IoOp& op : ops) {
    op.complete = submit_again;
    op.context = &chain;
  }
  queue->submit(pointers_to(ops));
  queue->drain();
  EXPECT_LT(chain.left, 0);
  for (const IoOp& op : ops) EXPECT_TRUE(op.done() && op.ok());
}

// A refused operation that is submitted again by its completion must not pile up calls.
TEST_P(Contract, RefusedOperationsMaySubmitAgain) {
  const auto queue = rig.queue();
  AlignedBuffer data(kBlock);
  struct Again {
    IoQueue* queue;
    int left;
    int deep;
    int deepest;
  } again{queue.get(), 1000, 0, 0};
  IoOp op = IoOp::read(kDeviceSize, data.span());
  op.context = &again;
  op.complete = [](IoOp& refused) noexcept {
    auto& state = *static_cast<Again*>(refused.context);
    state.deepest = std::max(state.deepest, ++state.deep);
    IoOp* const pointer = &refused;
    if (state.left-- > 0) state.queue->submit(std::span(&pointer, 1));
    --state.deep;
  };
  IoOp* const pointer = &op;
  queue->submit(std::span(&pointer, 1));
  queue->drain();
  EXPECT_EQ(again.left, -1);
  EXPECT_EQ(again.deepest, 1);
  EXPECT_EQ(op.error(), ErrorCode::beyond_device);
}

TEST_P(Contract, WaitCountsWhatRan) {
  const auto queue = rig.queue();
  EXPECT_EQ(queue->wait(1), 0U) << "nothing in flight";
  AlignedBuffer data(8 * kBlock);
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < 8; ++i) {
    ops.push_back(IoOp::read(2 * i * kBlock, data.span().subspan(i * kBlock, kBlock)));
  }
  queue->submit(pointers_to(ops));
  std::size_t ran = queue->wait(3);
  EXPECT_GE(ran, 3U);
  ran += queue->wait(8 - ran);
  EXPECT_EQ(ran, 8U);
  EXPECT_EQ(queue->wait(5), 0U);
}

TEST_P(Contract, DestroyingItFinishesWhatIsInFlight) {
  auto queue = rig.queue();
  AlignedBuffer data(32 * kBlock);
  Counted counted;
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < 32; ++i) {
    ops.push_back(IoOp::write(i * kBlock, data.span().subspan(i * kBlock, kBlock)));
    ops.back().complete = count;
    ops.back().context = &counted;
  }
  queue->submit(pointers_to(ops));
  queue.reset();
  EXPECT_EQ(counted.completions, 32);
}

TEST_P(Contract, BelongsToTheThreadThatSubmitsFirst) {
  const auto queue = rig.queue();
  AlignedBuffer data = pattern(kBlock, 8);
  bool written = false;
  std::thread([&] {
    IoOp write = IoOp::write(0, data.span());
    written = queue->run(write).has_value();
  }).join();
  EXPECT_TRUE(written);
}

TEST_P(Contract, DepthIsChecked) {
  for (const std::uint32_t depth : {0U, kMaxQueueDepth + 1}) {
    QueueConfig config;
    config.depth = depth;
    if (GetParam() == Subject::aio) config.engine = EngineChoice::aio;
    const Result<std::unique_ptr<IoQueue>> queue = rig.device().open_queue(config);
    ASSERT_FALSE(queue) << depth;
    EXPECT_EQ(queue.error().code(), ErrorCode::invalid_argument);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Contract, every_subject(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
