// At the log's unflushed end a record counts only if the data it bears witness to is on the device.
#include "fs/format/checksum.h"
#include "tests/store/log/log_fixture.h"

namespace ashlar::store {
namespace {

class LogWitness : public LogFixture {
 protected:
  // Writes `blocks` blocks of data at `first` and appends the record of it.
  void append_write(BlockNumber first, std::size_t blocks) {
    const std::size_t block_size = layout().block_size();
    Bytes data(blocks * block_size);
    for (std::byte& byte : data) byte = static_cast<std::byte>(random_());
    overwrite(layout().byte_offset(first), data);
    std::vector<format::le32> checksums;
    for (std::size_t i = 0; i < blocks; ++i) {
      checksums.emplace_back(format::crc32c(std::span(data).subspan(i * block_size, block_size)));
    }
    RecordBuilder builder;
    builder.allocate(BlockRun{first, blocks});
    builder.witness(BlockRun{first, blocks}, checksums);
    append(to_bytes(builder.finish()));
  }
  void lose(BlockNumber block) { overwrite(layout().byte_offset(block), Bytes(layout().block_size())); }
  void sync() { ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value()); }
  [[nodiscard]] std::uint64_t distrusted() {
    LogEnd end;
    static_cast<void>(read_back(&end));
    return end.distrusted;
  }
};

TEST_F(LogWitness, RecordsWithTheirDataAreBelieved) {
  begin();
  for (std::uint64_t i = 0; i < 30; ++i) append_write(BlockNumber{1000 + i * 10}, 1 + i % 10);
  sync();
  expect_log_holds(30);
  EXPECT_EQ(distrusted(), 0U);
}

TEST_F(LogWitness, TheFirstRecordWithoutItsDataEndsTheLog) {
  for (std::size_t lost = 0; lost < 30; ++lost) {
    SetUp();
    begin();
    for (std::uint64_t i = 0; i < 30; ++i) append_write(BlockNumber{1000 + i * 10}, 1 + i % 10);
    sync();
    lose(BlockNumber{1000 + lost * 10 + lost % 10});
    expect_log_holds(lost);
    EXPECT_EQ(distrusted(), 30 - lost);
    if (HasFatalFailure()) return;
  }
}

TEST_F(LogWitness, LaterChunksOfTheSameTailGoWithIt) {
  begin();
  append_write(BlockNumber{1000}, 1);
  static_cast<void>(writer_->seal());
  append_write(BlockNumber{1010}, 1);
  static_cast<void>(writer_->seal());
  append_write(BlockNumber{1020}, 1);
  sync();
  lose(BlockNumber{1010});
  expect_log_holds(1);
  EXPECT_EQ(distrusted(), 2U);
}

TEST_F(LogWitness, WhatWasDurableBeforeTheLastChunkIsNotAsked) {
  begin();
  append_write(BlockNumber{1000}, 4);
  sync();
  append_write(BlockNumber{1010}, 4);
  sync();
  // Not lost by the crash, then, but damaged: that is for the reader of the file to find.
  lose(BlockNumber{1002});
  expect_log_holds(2);
  lose(BlockNumber{1012});
  expect_log_holds(1);
}

TEST_F(LogWitness, RunsLongerThanOneRead) {
  begin();
  append_write(BlockNumber{1000}, 700);
  append_write(BlockNumber{1700}, 1);
  sync();
  expect_log_holds(2);
  lose(BlockNumber{1699});
  expect_log_holds(0);
}

TEST_F(LogWitness, UnreadableDataIsAnError) {
  begin();
  append_write(BlockNumber{1000}, 1);
  sync();
  device_.watch([&](blockio::IoOp& op) {
    if (op.offset == layout().byte_offset(BlockNumber{1000})) WatchedDevice::spoil(op);
  });
  const auto result = read_log(*io_, superblock_, [](Lsn, std::span<const std::byte>) { return Status(); });
  EXPECT_FALSE(result.has_value());
}

}  // namespace
}  // namespace ashlar::store
