// Queues that get another depth.
#include "blockio/waker.h"
#include "tests/blockio/event.h"
#include "tests/blockio/policy_rig.h"

namespace ashlar::blockio::testing {
namespace {

class Resize : public OnEveryDevice {
 protected:
  static QueueConfig of_depth(std::uint32_t depth) {
    QueueConfig config;
    config.depth = depth;
    return config;
  }

  // Writes and reads back more blocks than any queue here has room for.
  static void expect_working(IoQueue& queue, std::uint64_t seed) {
    constexpr std::size_t kCount = 100;
    AlignedBuffer data = pattern(kCount * kBlock, seed);
    AlignedBuffer back(data.size());
    for (const bool writing : {true, false}) {
      std::vector<IoOp> ops;
      for (std::size_t i = 0; i < kCount; ++i) {
        const auto block = (writing ? data : back).span().subspan(i * kBlock, kBlock);
        // Every other block of the device, so that nothing is merged.
        ops.push_back(writing ? IoOp::write(2 * i * kBlock, block) : IoOp::read(2 * i * kBlock, block));
      }
      ASSERT_TRUE(queue.run(pointers_to(ops)));
    }
    EXPECT_TRUE(same(back.span(), data.span()));
  }
};

TEST_P(Resize, TakesTheNewDepth) {
  const auto queue = rig.queue(of_depth(2));
  const std::string reason = queue->selection().reason;
  const EngineChoice engine = queue->selection().engine;
  std::uint64_t seed = 0;
  for (const std::uint32_t depth : {32U, 1U, 64U}) {
    expect_working(*queue, ++seed);
    ASSERT_TRUE(queue->resize(depth));
    EXPECT_EQ(queue->selection().depth, depth);
    EXPECT_EQ(queue->selection().engine, engine);
    EXPECT_EQ(queue->selection().reason, reason);
  }
  expect_working(*queue, ++seed);
  EXPECT_EQ(queue->statistics().of(OpKind::write).completed.get(), 400U);
}

TEST_P(Resize, IsRefusedWhileSomethingIsInFlight) {
  const auto queue = rig.queue(of_depth(4));
  const Event never(0);
  IoOp watch = IoOp::watch(never.descriptor());
  IoOp* const pointer = &watch;
  queue->submit(std::span(&pointer, 1));
  const Status refused = queue->resize(8);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::busy);
  EXPECT_EQ(queue->selection().depth, 4U);
  queue->drain();
  EXPECT_TRUE(watch.done());
  ASSERT_TRUE(queue->resize(8));
  expect_working(*queue, 1);
}

TEST_P(Resize, IsRefusedInACompletion) {
  struct Resizing : IoOp {
    IoQueue* queue = nullptr;
    std::optional<ErrorCode> refusal;
  };
  const auto queue = rig.queue(of_depth(4));
  AlignedBuffer data = pattern(kBlock, 1);
  Resizing op;
  static_cast<IoOp&>(op) = IoOp::write(0, data.span());
  op.queue = queue.get();
  op.complete = [](IoOp& done) noexcept {
    auto& self = static_cast<Resizing&>(done);
    if (const Status refused = self.queue->resize(8); !refused) self.refusal = refused.error().code();
  };
  ASSERT_TRUE(queue->run(op));
  EXPECT_EQ(op.refusal, ErrorCode::busy);
  EXPECT_EQ(queue->selection().depth, 4U);
  ASSERT_TRUE(queue->resize(8));
}

TEST_P(Resize, HasTheLimitsOfOpening) {
  const auto queue = rig.queue(of_depth(4));
  for (const std::uint32_t depth : {0U, kMaxQueueDepth + 1}) {
    const Status refused = queue->resize(depth);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::invalid_argument);
  }
  EXPECT_EQ(queue->selection().depth, 4U);
  expect_working(*queue, 1);
}

TEST_P(Resize, KeepsTheWaker) {
  QueueConfig config = of_depth(4);
  config.wakeable = true;
  const auto queue = rig.queue(config);
  // The old engine watches it.
  EXPECT_EQ(queue->wait(1, std::chrono::milliseconds(1)), 0U);
  ASSERT_TRUE(queue->resize(8));
  queue->waker()->wake();
  EXPECT_EQ(queue->wait(1), 0U);
  expect_working(*queue, 1);
}

INSTANTIATE_TEST_SUITE_P(Devices, Resize, every_subject(), subject_name);

TEST_F(Policy, AQueueThatCannotBeResizedIsAsItWas) {
  DeviceQueueSetup setup;
  setup.selection.depth = 2;
  std::uint32_t asked = 0;
  setup.open_engine = [&asked](const IoQueue&, std::uint32_t depth) -> Result<OpenedEngine> {
    asked = depth;
    return fail(ErrorCode::try_again, "no events left");
  };
  reopen(std::move(setup));
  const Status refused = queue->resize(8);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::try_again);
  EXPECT_EQ(asked, 8U);
  EXPECT_EQ(queue->selection().depth, 2U);
  AlignedBuffer data = pattern(kBlock, 1);
  IoOp write = IoOp::write(kBlock, data.span());
  ASSERT_TRUE(queue->run(write));
  expect_contents(kBlock, data.span());
}

}  // namespace
}  // namespace ashlar::blockio::testing
