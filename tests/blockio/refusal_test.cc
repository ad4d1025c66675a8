// What every queue refuses, alike, before it starts.
#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

class Refusal : public OnEveryDevice {
 protected:
  void expect_refused(IoOp op, ErrorCode code) {
    const Status status = queue->run(op);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), code) << describe(status.error().code());
    EXPECT_EQ(op.error(), code);
  }

  std::unique_ptr<IoQueue> queue = rig.queue();
  AlignedBuffer data{2 * kBlock};
};

TEST_P(Refusal, Misaligned) {
  expect_refused(IoOp::read(100, data.span()), ErrorCode::misaligned);
  expect_refused(IoOp::write(0, data.span().first(1000)), ErrorCode::misaligned);
  expect_refused(IoOp::write_durable(0, data.span().subspan(1, kBlock)), ErrorCode::misaligned);
  expect_refused(IoOp::discard(1, kBlock), ErrorCode::misaligned);
  expect_refused(IoOp::write_zeroes(0, 100), ErrorCode::misaligned);
}

TEST_P(Refusal, MisalignedSegments) {
  const std::vector<iovec> lengths{{data.data(), 512}, {data.data() + 512, 100}, {data.data() + 1024, 412}};
  expect_refused(IoOp::readv(0, lengths), ErrorCode::misaligned);
  const std::vector<iovec> places{{data.data(), 512}, {data.data() + 513, 512}};
  expect_refused(IoOp::writev(0, places), ErrorCode::misaligned);
}

TEST_P(Refusal, PastTheEnd) {
  expect_refused(IoOp::read(kDeviceSize, data.span()), ErrorCode::beyond_device);
  expect_refused(IoOp::write(kDeviceSize - kBlock, data.span()), ErrorCode::beyond_device);
  expect_refused(IoOp::discard(kDeviceSize - kBlock, 2 * kBlock), ErrorCode::beyond_device);
  // Sums that wrap around.
  expect_refused(IoOp::read(~std::uint64_t{511}, data.span()), ErrorCode::beyond_device);
  expect_refused(IoOp::write_zeroes(kBlock, ~std::uint64_t{511}), ErrorCode::beyond_device);
}

TEST_P(Refusal, EmptyOrTooManySegments) {
  expect_refused(IoOp::read(0, {}), ErrorCode::invalid_argument);
  expect_refused(IoOp::discard(0, 0), ErrorCode::invalid_argument);
  const std::vector<iovec> segments(kMaxSegments + 1, iovec{data.data(), 512});
  expect_refused(IoOp::writev(0, segments), ErrorCode::invalid_argument);
}

// An operation filled in by hand may contradict itself; the kernel must not be told more than the memory holds.
TEST_P(Refusal, LengthThatIsNotThatOfTheMemory) {
  IoOp plain = IoOp::read(0, data.span());
  plain.length += 512;
  expect_refused(plain, ErrorCode::invalid_argument);
  const std::vector<iovec> segments{{data.data(), 512}, {data.data() + 512, 512}};
  IoOp vectored = IoOp::writev(0, segments);
  vectored.length = 512;
  expect_refused(vectored, ErrorCode::invalid_argument);
}

TEST_P(Refusal, RefusedOnesDoNotDisturbTheOthers) {
  AlignedBuffer good = pattern(kBlock, 1);
  std::vector<IoOp> ops;
  ops.push_back(IoOp::write(0, good.span()));
  ops.push_back(IoOp::write(1, good.span()));
  ops.push_back(IoOp::write(kDeviceSize, good.span()));
  ops.push_back(IoOp::write(kBlock, good.span()));
  const Status status = queue->run(pointers_to(ops));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::misaligned) << "the first error";
  EXPECT_TRUE(ops[0].ok());
  EXPECT_EQ(ops[1].error(), ErrorCode::misaligned);
  EXPECT_EQ(ops[2].error(), ErrorCode::beyond_device);
  EXPECT_TRUE(ops[3].ok());
  IoOp read = IoOp::read(kBlock, data.span().first(kBlock));
  ASSERT_TRUE(queue->run(read));
  EXPECT_TRUE(same(data.span().first(kBlock), good.span()));
}

INSTANTIATE_TEST_SUITE_P(Devices, Refusal, every_subject(), subject_name);

class ReadOnly : public ::testing::TestWithParam<Subject> {};

TEST_P(ReadOnly, RefusesWhateverWrites) {
  Rig rig(GetParam(), {.read_only = true, .window_offset = 0});
  const auto queue = rig.queue();
  AlignedBuffer data(kBlock);
  std::vector<IoOp> ops{IoOp::write(0, data.span()), IoOp::write_durable(0, data.span()), IoOp::discard(0, kBlock),
                        IoOp::write_zeroes(0, kBlock)};
  for (IoOp& op : ops) {
    ASSERT_FALSE(queue->run(op));
    EXPECT_EQ(op.error(), ErrorCode::read_only);
  }
  IoOp read = IoOp::read(0, data.span());
  EXPECT_TRUE(queue->run(read));
  IoOp flush = IoOp::flush();
  EXPECT_TRUE(queue->run(flush));
}

INSTANTIATE_TEST_SUITE_P(Devices, ReadOnly, every_subject(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
