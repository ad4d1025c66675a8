// Small writes of file data: together on the device before what names them, and never in the way of anybody.
#include "fs/store/write_behind.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "blockio/faulty_device.h"
#include "blockio/recording_device.h"
#include "fs/format/checksum.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

constexpr std::uint32_t kPieceSize = 512;
constexpr format::ItemKind kKind = format::ItemKind::extent;

AllocationRequest up_to(std::uint64_t blocks) {
  AllocationRequest request;
  request.maximum = blocks;
  return request;
}

class WriteBehindTest : public ::testing::Test {
 protected:
  void SetUp() override {
    io_ = open_queue(faulty_);
    auto opened = Store::open(faulty_, *io_, test_options());
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = *std::move(opened);
  }

  // A block full of `fill`, in the store's hands.
  Allocation write(char fill) {
    blockio::AlignedBuffer buffer(kPieceSize);
    std::memset(buffer.data(), fill, kPieceSize);
    const iovec piece{buffer.data(), kPieceSize};
    Result<Allocation> allocation = store_->write_behind(*io_, {&piece, 1}, 1);
    EXPECT_TRUE(allocation) << allocation.error().message();
    if (!allocation) return {};
    EXPECT_EQ(allocation->run().count, 1U);
    return *std::move(allocation);
  }

  BlockNumber write_and_commit(char fill) {
    Allocation allocation = write(fill);
    const BlockRun run = allocation.run();
    std::array<std::byte, kPieceSize> data{};
    data.fill(static_cast<std::byte>(fill));
    const format::le32 checksum = format::crc32c(data);
    Transaction transaction;
    transaction.put({InodeNumber{2}, kKind, run.first.value()}, std::span(data).first(8));
    transaction.adopt(std::move(allocation));
    transaction.witness(run, {&checksum, 1});
    EXPECT_TRUE(store_->commit(*io_, transaction));
    return run.first;
  }

  // Everything that can be had.
  std::vector<Allocation> take_all() {
    std::vector<Allocation> all;
    for (;;) {
      Result<Allocation> more = store_->allocate(*io_, up_to(1024));
      if (!more) return all;
      all.push_back(*std::move(more));
    }
  }
  static std::uint64_t blocks_in(const std::vector<Allocation>& all) {
    std::uint64_t blocks = 0;
    for (const Allocation& allocation : all) blocks += allocation.run().count;
    return blocks;
  }

  std::string on_device(BlockNumber block) {
    blockio::AlignedBuffer buffer(kPieceSize);
    blockio::IoOp read = blockio::IoOp::read(store_->layout().byte_offset(block), buffer.span());
    EXPECT_TRUE(io_->run(read));
    return {reinterpret_cast<const char*>(buffer.data()), kPieceSize};
  }

  // Device writes that hold a block.
  std::size_t writes_over(BlockNumber block, std::size_t from) {
    const std::uint64_t offset = store_->layout().byte_offset(block);
    std::size_t count = 0;
    for (std::size_t i = from; i < recorder_.event_count(); ++i) {
      const blockio::RecordedEvent event = recorder_.event(i);
      if (event.offset <= offset && offset < event.offset + event.data.size()) ++count;
    }
    return count;
  }

  blockio::RecordingDevice recorder_{formatted_image(kPieceSize)};
  blockio::FaultyDevice faulty_{recorder_};
  std::unique_ptr<blockio::IoQueue> io_;
  std::unique_ptr<Store> store_;
};

TEST_F(WriteBehindTest, OneDeviceWriteBringsWhatWasWrittenOneAfterTheOther) {
  const std::size_t before = recorder_.event_count();
  std::vector<BlockNumber> blocks;
  for (char fill = 'a'; fill < 'e'; ++fill) blocks.push_back(write_and_commit(fill));
  EXPECT_EQ(recorder_.event_count(), before) << "nobody asked for durability";
  for (std::size_t i = 1; i < blocks.size(); ++i) EXPECT_EQ(blocks[i], blocks[i - 1] + 1);
  ASSERT_TRUE(store_->sync(*io_));
  EXPECT_EQ(recorder_.event_count(), before + 2) << "the data and the log";
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(writes_over(blocks[i], before), 1U);
    EXPECT_EQ(on_device(blocks[i]), std::string(kPieceSize, static_cast<char>('a' + i)));
  }
}

// Neither waits for the other, and both are on the medium when the caller is answered.
TEST_F(WriteBehindTest, DataAndLogAreOnTheirWayTogether) {
  const BlockNumber block = write_and_commit('t');
  const std::size_t before = recorder_.event_count();
  std::vector<std::uint64_t> offsets;
  std::size_t seen_before_any_ended = 0;
  faulty_.set_plan([&](const blockio::FaultQuestion& question) {
    EXPECT_EQ(question.op.kind, blockio::OpKind::write_durable);
    offsets.push_back(question.op.offset);
    if (recorder_.event_count() == before) ++seen_before_any_ended;
    return blockio::Fault::delay;
  });
  ASSERT_TRUE(store_->sync(*io_));
  ASSERT_EQ(offsets.size(), 2U);
  EXPECT_EQ(offsets.front(), store_->layout().byte_offset(block));
  EXPECT_EQ(seen_before_any_ended, 2U);
}

TEST_F(WriteBehindTest, SettledBlocksCanBeRead) {
  const BlockNumber first = write_and_commit('x');
  const std::size_t before = recorder_.event_count();
  ASSERT_TRUE(store_->settle(*io_, BlockRun{first + 1000, 1}));
  EXPECT_EQ(recorder_.event_count(), before) << "other blocks are nobody's business";
  ASSERT_TRUE(store_->settle(*io_, BlockRun{first, 1}));
  EXPECT_EQ(on_device(first), std::string(kPieceSize, 'x'));
}

TEST_F(WriteBehindTest, ACheckpointBringsTheDataBeforeItsSuperblock) {
  const BlockNumber block = write_and_commit('c');
  ASSERT_TRUE(store_->checkpoint(*io_));
  EXPECT_EQ(on_device(block), std::string(kPieceSize, 'c'));
}

// Which happens here: nothing else would make it happen.
TEST_F(WriteBehindTest, WhatIsGivenUpIsThereForWhoFindsNoSpace) {
  const std::uint64_t all = blocks_in(take_all());
  for (const char fill : {'a', 'b', 'c'}) static_cast<void>(write(fill));
  EXPECT_EQ(blocks_in(take_all()), all);
}

TEST_F(WriteBehindTest, WhatIsGivenUpIsNotTakenBeforeItWasWritten) {
  BlockRun given_up;
  {
    const Allocation abandoned = write('z');
    given_up = abandoned.run();
  }
  // Everything that can be had, while the abandoned block still waits in memory.
  std::vector<Allocation> all;
  for (;;) {
    Result<Allocation> more = store_->allocate(*io_, up_to(64));
    if (!more) break;
    const bool written = on_device(given_up.first) == std::string(kPieceSize, 'z');
    EXPECT_TRUE(written || more->run().end() <= given_up.first || given_up.end() <= more->run().first);
    all.push_back(*std::move(more));
    if (written) break;
  }
  ASSERT_TRUE(store_->settle(*io_, given_up));
  all.clear();
}

TEST_F(WriteBehindTest, AFailedDataWriteIsNeverRetriedIntoSuccess) {
  const BlockNumber block = write_and_commit('f');
  faulty_.set_plan(blockio::fail_once(0));
  EXPECT_FALSE(store_->sync(*io_));
  faulty_.set_plan(nullptr);
  EXPECT_FALSE(store_->sync(*io_));
  EXPECT_TRUE(store_->read_only());
  EXPECT_FALSE(store_->stats().failure.empty());
  store_.reset();
  // After a remount the transaction never was.
  auto again = Store::open(faulty_, *io_, test_options());
  ASSERT_TRUE(again) << again.error().message();
  ItemValue value;
  const auto found = (*again)->get(*io_, {InodeNumber{2}, kKind, block.value()}, value);
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
}

TEST_F(WriteBehindTest, TheReserveIsThereForWhoNeedsTheLastBlock) {
  const std::uint64_t before = blocks_in(take_all());
  const Allocation held = write('r');
  EXPECT_EQ(blocks_in(take_all()), before - 1);
}

TEST_F(WriteBehindTest, WhatIsGivenUpWhereNothingWaitsIsFreeAtOnce) {
  {
    const Allocation held = write('r');
    ASSERT_TRUE(store_->settle(*io_, held.run()));
  }
  // The first time everything is taken, the reserve behind the block is given back. The second time, one run reaches
  // over both.
  const std::uint64_t before = blocks_in(take_all());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(blocks_in(take_all()), before);
}

TEST_F(WriteBehindTest, TheReserveIsThereForTheTreeToo) {
  const auto put = [this](std::uint64_t inodes) {
    Transaction transaction;
    for (std::uint64_t i = 0; i < inodes; ++i) {
      transaction.put({InodeNumber{100 + i}, kKind, 0}, std::as_bytes(std::span("a value")));
    }
    return store_->commit(*io_, transaction);
  };
  ASSERT_TRUE(put(1));
  // Nothing is left that a checkpoint would give back.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store_->checkpoint(*io_));
  constexpr std::uint64_t kSegment = 32;  // blocks that are reserved at once on a volume of this size
  std::vector<Allocation> all = take_all();
  const auto large = std::find_if(all.begin(), all.end(), [](const Allocation& a) { return a.run().count > kSegment; });
  ASSERT_NE(large, all.end());
  AllocationRequest all_but_a_segment = up_to(large->run().count - kSegment);
  all_but_a_segment.minimum = all_but_a_segment.maximum;
  *large = Allocation();
  Result<Allocation> taken = store_->allocate(*io_, all_but_a_segment);
  ASSERT_TRUE(taken);
  const Allocation reserving = write('r');
  EXPECT_TRUE(put(2));
}

}  // namespace
}  // namespace ashlar::store::testing
