// What only the doubles can do: crash states and faults.
#include <algorithm>
#include <bit>
#include <random>
#include <set>

#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

constexpr std::size_t kSector = 512;

class Recording : public ::testing::Test {
 protected:
  void write(std::uint64_t block, std::uint64_t seed, OpKind kind = OpKind::write) {
    AlignedBuffer data = pattern(kBlock, seed);
    IoOp op = IoOp::write(block * kBlock, data.span());
    op.kind = kind;
    ASSERT_TRUE(queue->run(op));
  }
  void flush() {
    IoOp op = IoOp::flush();
    ASSERT_TRUE(queue->run(op));
  }

  // How many sectors of the block hold what write(block, seed) put there.
  static std::size_t sectors(const MemoryImage& image, std::uint64_t block, std::uint64_t seed) {
    const AlignedBuffer expected = pattern(kBlock, seed);
    std::vector<std::byte> found(kBlock);
    image.read(block * kBlock, found);
    std::size_t count = 0;
    for (std::size_t at = 0; at < kBlock; at += kSector) {
      if (same(std::span(found).subspan(at, kSector), expected.span().subspan(at, kSector))) ++count;
    }
    return count;
  }

  // The fates met in many draws of a crash state: per draw the number of sectors of each (block, seed).
  template <typename Draw>
  static std::set<std::vector<std::size_t>> fates(std::initializer_list<std::pair<std::uint64_t, std::uint64_t>> blocks,
                                                  Draw draw) {
    std::mt19937_64 random(1);
    std::set<std::vector<std::size_t>> all;
    for (int i = 0; i < 400; ++i) {
      const MemoryImage image = draw(random);
      std::vector<std::size_t> fate;
      for (const auto& [block, seed] : blocks) fate.push_back(sectors(image, block, seed));
      all.insert(fate);
    }
    return all;
  }

  RecordingDevice device{MemoryImage(64 * kBlock)};
  std::unique_ptr<IoQueue> queue = *device.open_queue({});
};

TEST_F(Recording, RemembersWhatHappenedInOrder) {
  write(1, 10);
  flush();
  IoOp zero = IoOp::write_zeroes(0, kBlock);
  ASSERT_TRUE(queue->run(zero));
  ASSERT_EQ(device.event_count(), 3U);
  EXPECT_EQ(device.event(0).kind, OpKind::write);
  EXPECT_EQ(device.event(0).offset, kBlock);
  EXPECT_EQ(device.event(1).kind, OpKind::flush);
  EXPECT_EQ(device.event(2).length, kBlock);
  EXPECT_EQ(sectors(device.contents(), 1, 10), 8U);
}

TEST_F(Recording, UnflushedWritesAreKeptLostOrTorn) {
  write(1, 10);
  write(2, 20);
  const auto met = fates({{1, 10}, {2, 20}}, [&](auto& random) { return device.after_power_cut(2, &random); });
  EXPECT_TRUE(met.contains({8, 8}));
  EXPECT_TRUE(met.contains({0, 8})) << "the second without the first";
  EXPECT_TRUE(met.contains({8, 0}));
  EXPECT_TRUE(met.contains({0, 0}));
  EXPECT_TRUE(std::any_of(met.begin(), met.end(), [](const auto& fate) { return fate[0] > 0 && fate[0] < 8; }));
}

TEST_F(Recording, FlushedWritesStay) {
  write(1, 10);
  flush();
  write(2, 20);
  for (const auto& fate : fates({{1, 10}}, [&](auto& random) { return device.after_power_cut(3, &random); })) {
    EXPECT_EQ(fate[0], 8U);
  }
  const auto before = fates({{1, 10}}, [&](auto& random) { return device.after_power_cut(1, &random); });
  EXPECT_TRUE(before.contains({0})) << "before the flush it was not";
}

TEST_F(Recording, AFlushUnderWayPromisesNothing) {
  write(1, 10);
  flush();
  const auto met = fates({{1, 10}}, [&](auto& random) { return device.during_last(2, random); });
  EXPECT_TRUE(met.contains({0}));
  EXPECT_TRUE(met.contains({8}));
}

TEST_F(Recording, ADurableWriteMakesWhatCompletedBeforeItDurable) {
  write(1, 10);
  write(2, 20, OpKind::write_durable);
  const auto met = fates({{1, 10}, {2, 20}}, [&](auto& random) { return device.after_power_cut(2, &random); });
  EXPECT_EQ(met, (std::set<std::vector<std::size_t>>{{8, 8}}));
}

TEST_F(Recording, ADurableWriteUnderWayMayArriveBeforeWhatItCovers) {
  write(1, 10);
  write(2, 20, OpKind::write_durable);
  const auto met = fates({{1, 10}, {2, 20}}, [&](auto& random) { return device.during_last(2, random); });
  EXPECT_TRUE(met.contains({0, 8}));
  EXPECT_TRUE(met.contains({8, 0}));
  EXPECT_TRUE(met.contains({0, 0}));
}

// Submitted together, the one does not cover the other.
TEST_F(Recording, AFlushCoversOnlyWhatHadCompleted) {
  AlignedBuffer data = pattern(kBlock, 10);
  std::vector<IoOp> ops{IoOp::write(kBlock, data.span()), IoOp::flush()};
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  const auto met = fates({{1, 10}}, [&](auto& random) { return device.after_power_cut(2, &random); });
  EXPECT_TRUE(met.contains({0}));
  flush();
  const auto later = fates({{1, 10}}, [&](auto& random) { return device.after_power_cut(3, &random); });
  EXPECT_EQ(later, (std::set<std::vector<std::size_t>>{{8}}));
}

TEST_F(Recording, ZeroingTearsToo) {
  write(1, 10);
  flush();
  IoOp zero = IoOp::write_zeroes(kBlock, kBlock);
  ASSERT_TRUE(queue->run(zero));
  const auto met = fates({{1, 10}}, [&](auto& random) { return device.after_power_cut(3, &random); });
  EXPECT_TRUE(met.contains({0}) && met.contains({8}));
  EXPECT_GT(met.size(), 2U);
}

TEST_F(Recording, WithoutChanceEverythingIsThere) {
  write(1, 10);
  write(1, 11);
  EXPECT_EQ(sectors(device.after_power_cut(0), 1, 10), 0U);
  EXPECT_EQ(sectors(device.after_power_cut(1), 1, 10), 8U);
  EXPECT_EQ(sectors(device.after_power_cut(2), 1, 11), 8U);
}

class Faults : public ::testing::Test {
 protected:
  Status write(std::uint64_t block, std::uint64_t seed) {
    AlignedBuffer data = pattern(kBlock, seed);
    IoOp op = IoOp::write(block * kBlock, data.span());
    return queue->run(op);
  }
  bool holds(std::uint64_t block, std::uint64_t seed) {
    std::vector<std::byte> found(kBlock);
    memory.snapshot().read(block * kBlock, found);
    return same(found, pattern(kBlock, seed).span());
  }
  void plan(Fault fault) {
    device.set_plan([fault](const FaultQuestion& question) { return question.index == 0 ? fault : Fault::none; });
  }

  MemoryDevice memory{64 * kBlock};
  FaultyDevice device{memory};
  std::unique_ptr<IoQueue> queue = *device.open_queue({});
};

TEST_F(Faults, FailDoesNothing) {
  plan(Fault::fail);
  const Status status = write(1, 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::io_error);
  EXPECT_FALSE(holds(1, 1));
  EXPECT_TRUE(write(1, 1));
  EXPECT_TRUE(holds(1, 1));
  EXPECT_EQ(device.operations(), 2U);
}

TEST_F(Faults, LoseSaysItWentWell) {
  plan(Fault::lose);
  EXPECT_TRUE(write(1, 1));
  EXPECT_FALSE(holds(1, 1));
}

TEST_F(Faults, ShortenMovesAPart) {
  plan(Fault::shorten);
  const Status status = write(1, 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::short_transfer);
  std::vector<std::byte> found(kBlock);
  memory.snapshot().read(kBlock, found);
  const AlignedBuffer expected = pattern(kBlock, 1);
  EXPECT_TRUE(same(std::span(found).first(kBlock / 2), expected.span().first(kBlock / 2)));
  EXPECT_FALSE(holds(1, 1));
}

TEST_F(Faults, DelayCompletesLater) {
  plan(Fault::delay);
  AlignedBuffer data = pattern(kBlock, 1);
  std::vector<IoOp> ops{IoOp::write(0, data.span()), IoOp::write(2 * kBlock, data.span())};
  const auto began = std::chrono::steady_clock::now();
  queue->submit(pointers_to(ops));
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(ops[1].done() && !ops[0].done()) << "the others overtake it";
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(ops[0].ok());
  EXPECT_GE(std::chrono::steady_clock::now() - began, kFaultDelay);
  EXPECT_GE(ops[0].latency(), kFaultDelay);
}

// As the contract has it: a faulty operation is no occasion to complete others.
TEST_F(Faults, NothingCompletesInsideSubmit) {
  for (const Fault fault : {Fault::shorten, Fault::flip_bit, Fault::delay, Fault::misdirect, Fault::fail}) {
    device.set_plan([fault](const FaultQuestion& question) { return question.index == 1 ? fault : Fault::none; });
    AlignedBuffer data(2 * kBlock);
    std::vector<IoOp> ops{IoOp::read(0, data.span().first(kBlock)), IoOp::read(kBlock, data.span().subspan(kBlock))};
    for (IoOp& op : ops) {
      IoOp* const pointer = &op;
      queue->submit(std::span(&pointer, 1));
      EXPECT_FALSE(ops[0].done());
    }
    queue->drain();
    EXPECT_TRUE(ops[0].done() && ops[1].done());
  }
}

TEST_F(Faults, FaultyOperationsCountForTheDepth) {
  device.set_plan([](const FaultQuestion&) { return Fault::delay; });
  QueueConfig config;
  config.depth = 2;
  queue = *device.open_queue(config);
  AlignedBuffer data(kBlock);
  std::vector<IoOp> ops(7, IoOp::read(0, data.span()));
  queue->submit(pointers_to(ops));
  const auto done = std::count_if(ops.begin(), ops.end(), [](const IoOp& op) { return op.done(); });
  EXPECT_GE(done, 5) << "no more than two are in flight";
  queue->drain();
  for (const IoOp& op : ops) EXPECT_TRUE(op.done() && op.ok());
}

// Whose completions submit more of them until the plan lets one go right.
TEST_F(Faults, DrainEndsThemAll) {
  device.set_plan([](const FaultQuestion& question) { return question.index % 3 == 1 ? Fault::delay : Fault::fail; });
  struct Chain {
    IoQueue* queue;
    int left;
  } chain{queue.get(), 20};
  IoOp op = IoOp::flush();
  op.context = &chain;
  op.complete = [](IoOp& self) noexcept {
    auto& state = *static_cast<Chain*>(self.context);
    IoOp* const pointer = &self;
    if (--state.left > 0) state.queue->submit(std::span(&pointer, 1));
  };
  IoOp* const pointer = &op;
  queue->submit(std::span(&pointer, 1));
  queue->drain();
  EXPECT_EQ(chain.left, 0);
  EXPECT_TRUE(op.done());
}

TEST_F(Faults, FlipBitChangesOneBitOfARead) {
  ASSERT_TRUE(write(1, 1));
  plan(Fault::flip_bit);
  AlignedBuffer back(kBlock);
  IoOp read = IoOp::read(kBlock, back.span());
  ASSERT_TRUE(queue->run(read));
  const AlignedBuffer expected = pattern(kBlock, 1);
  int bits = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    bits += std::popcount(std::to_integer<unsigned>(back.data()[i] ^ expected.data()[i]));
  }
  EXPECT_EQ(bits, 1);
  EXPECT_TRUE(holds(1, 1)) << "the device holds the right one";
}

TEST_F(Faults, MisdirectGoesToTheNeighbour) {
  plan(Fault::misdirect);
  EXPECT_TRUE(write(1, 1));
  EXPECT_FALSE(holds(1, 1));
  EXPECT_TRUE(holds(2, 1));
}

TEST_F(Faults, PlansChooseTheirOperations) {
  device.set_plan(fail_from(1));
  EXPECT_TRUE(write(0, 0));
  EXPECT_FALSE(write(0, 0));
  EXPECT_FALSE(write(0, 0));
  device.set_plan(fail_nth(OpKind::flush, 1));
  IoOp flush = IoOp::flush();
  EXPECT_TRUE(queue->run(flush));
  EXPECT_TRUE(write(0, 0));
  EXPECT_FALSE(queue->run(flush));
  device.set_plan(fail_once(1));
  EXPECT_TRUE(write(0, 0));
  EXPECT_FALSE(write(0, 0));
  EXPECT_TRUE(write(0, 0));
  const auto failures = [this](std::uint64_t seed) {
    device.set_plan(at_random(seed, 4, Fault::fail));
    std::vector<bool> failed;
    for (int i = 0; i < 100; ++i) failed.push_back(!write(0, 0).has_value());
    return failed;
  };
  const std::vector<bool> once = failures(1);
  EXPECT_EQ(once, failures(1));
  EXPECT_NE(once, failures(2));
  EXPECT_GT(std::count(once.begin(), once.end(), true), 5);
}

TEST(MemoryImageTest, CopiesShareUntilTheyDiffer) {
  MemoryImage image(16 * kBlock);
  const AlignedBuffer data = pattern(kBlock, 1);
  image.write(1000, data.span());
  const MemoryImage copy = image;
  image.zero(0, 3 * kBlock);
  std::vector<std::byte> found(kBlock);
  copy.read(1000, found);
  EXPECT_TRUE(same(found, data.span()));
  image.read(1000, found);
  EXPECT_TRUE(same(found, AlignedBuffer(kBlock).span()));
}

}  // namespace
}  // namespace ashlar::blockio::testing
