// Everything synced comes back, in order, whatever the sizes, over many laps of the area.
#include <map>

#include "fs/format/endian.h"
#include "tests/store/log/log_fixture.h"

namespace ashlar::store {
namespace {

class LogRoundTrip : public LogFixture, public ::testing::WithParamInterface<std::uint64_t> {
  void SetUp() override { LogFixture::SetUp(); }
};

class LogTest : public LogFixture {};

TEST_F(LogTest, EmptyLogReadsAsEmpty) {
  begin();
  LogEnd end;
  EXPECT_TRUE(read_back(&end).empty());
  EXPECT_EQ(end.next, Lsn{superblock_.log_start});
  EXPECT_EQ(end.bytes, 0U);
}

TEST_F(LogTest, WhatIsNotSyncedIsNotWritten) {
  begin();
  append(make_record(100));
  EXPECT_TRUE(read_back().empty());
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  expect_log_holds(1);
}

TEST_F(LogTest, SyncWritesOnceForManyRecords) {
  begin();
  for (int i = 0; i < 50; ++i) append(make_record(10));
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  EXPECT_EQ(writer_->stats().durable_writes, 1U);
  EXPECT_EQ(writer_->stats().chunks, 1U);
  EXPECT_EQ(writer_->stats().records, 50U);
  EXPECT_EQ(writer_->durable(), writer_->end());
  expect_log_holds(50);
}

TEST_F(LogTest, ALongBacklogIsWrittenInOneSync) {
  begin();
  std::size_t count = 0;
  while (!writer_->backlog()) {
    append(make_record(5000));
    ++count;
  }
  // The last chunk alone is durable by itself, the ones before it are there already.
  std::vector<blockio::OpKind> kinds;
  device_.watch([&](blockio::IoOp& op) { kinds.push_back(op.kind); });
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  device_.watch({});
  ASSERT_GT(kinds.size(), 1U);
  for (std::size_t i = 0; i + 1 < kinds.size(); ++i) EXPECT_EQ(kinds[i], blockio::OpKind::write);
  EXPECT_EQ(kinds.back(), blockio::OpKind::write_durable);
  EXPECT_FALSE(writer_->backlog());
  EXPECT_EQ(writer_->stats().durable_writes, 1U);
  expect_log_holds(count);
}

TEST_F(LogTest, WritingGoesOnWhereReadingEnded) {
  begin();
  for (int i = 0; i < 5; ++i) append(make_record(3000));
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  LogEnd end;
  EXPECT_EQ(read_back(&end).size(), 5U);
  EXPECT_EQ(end.next, writer_->seal().start);
  EXPECT_EQ(end.chain, writer_->seal().chain);
}

// Tells of every chunk written to an area block that still held a record needed, or held a chunk of this lap.
class OverwriteGuard {
 public:
  OverwriteGuard(std::uint64_t area_first, std::uint64_t area_bytes, std::uint32_t block_size)
      : area_first_(area_first), area_bytes_(area_bytes), block_size_(block_size) {}

  void on_write(const blockio::IoOp& op, Lsn tail) {
    if (op.kind != blockio::OpKind::write && op.kind != blockio::OpKind::write_durable) return;
    ASSERT_GE(op.offset, area_first_);
    ASSERT_LE(op.offset + op.length, area_first_ + area_bytes_) << "a chunk wrapped";
    format::ChunkHeader header;
    std::memcpy(&header, op.single.iov_base, sizeof header);
    ASSERT_EQ(header.magic, format::kChunkMagic);
    ASSERT_EQ(header.lsn % area_bytes_, op.offset - area_first_);
    ASSERT_LE(header.durable, header.lsn);
    for (std::uint64_t at = op.offset; at < op.offset + op.length; at += block_size_) {
      const auto old = newest_.find(at);
      if (old != newest_.end()) {
        ASSERT_LT(old->second, tail) << "a block with records that are needed was overwritten";
      }
      newest_[at] = Lsn{header.lsn + (at - op.offset)};
    }
    ++writes_;
  }

  [[nodiscard]] std::size_t writes() const { return writes_; }

 private:
  std::uint64_t area_first_;
  std::uint64_t area_bytes_;
  std::uint32_t block_size_;
  std::map<std::uint64_t, Lsn> newest_;
  std::size_t writes_ = 0;
};

TEST_P(LogRoundTrip, RandomSizesOverManyLaps) {
  random_.seed(GetParam());
  shrink_log(8 + random_() % 40);
  begin();
  OverwriteGuard guard(area_first(), area_bytes(), layout().block_size());
  device_.watch([&](blockio::IoOp& op) { guard.on_write(op, Lsn{superblock_.log_start}); });
  std::size_t synced = 0;
  std::size_t checkpoints = 0;
  for (int step = 0; step < 3000; ++step) {
    const std::size_t size = random_() % 4 == 0 ? random_() % (writer_->max_record() - 40) : random_() % 900;
    const Bytes record = make_record(size);
    if (!try_append(record)) {
      checkpoint();
      synced = 0;
      ++checkpoints;
      // An empty log takes any record.
      append(record);
    }
    if (random_() % 3 == 0) {
      ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
      synced = since_checkpoint_.size();
    }
    if (random_() % 200 == 0) {
      checkpoint();
      synced = 0;
    }
    if (random_() % 60 == 0) {
      device_.watch({});
      expect_log_holds(synced);
      if (HasFatalFailure()) return;
      device_.watch([&](blockio::IoOp& op) { guard.on_write(op, Lsn{superblock_.log_start}); });
    }
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(checkpoints, 10U);
  EXPECT_GT(guard.writes(), 500U);
  EXPECT_GT(writer_->end().value() / area_bytes(), 5U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, LogRoundTrip, ::testing::Range<std::uint64_t>(1, 13));

}  // namespace
}  // namespace ashlar::store
