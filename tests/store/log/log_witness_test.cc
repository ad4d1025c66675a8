// At the log's unflushed end a record counts only if the data it bears witness to is on the device.
#include <set>

#include "blockio/faulty_device.h"
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
  // Some records of 4 blocks each, every one a chunk, all of them one tail.
  void append_tail(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      append_write(BlockNumber{1000 + i * 10}, 4);
      static_cast<void>(writer_->seal());
    }
    sync();
  }
  // Reads the log on a device that fails to read some blocks, always or `times` times.
  [[nodiscard]] LogEnd read_without(const std::set<std::uint64_t>& blocks, std::uint64_t times = ~0ULL) {
    blockio::FaultyDevice faulty(device_);
    const auto io = faulty.open_queue({});
    EXPECT_TRUE(io.has_value());
    faulty.set_plan([&, block_size = layout().block_size()](const blockio::FaultQuestion& question) {
      const std::uint64_t first = question.op.offset / block_size;
      const auto bad = blocks.lower_bound(first);
      const bool hit = bad != blocks.end() && *bad < first + question.op.length / block_size;
      return hit && times-- > 0 ? blockio::Fault::fail : blockio::Fault::none;
    });
    std::uint64_t visited = 0;
    const auto end = read_log(**io, superblock_, [&visited](Lsn, std::span<const std::byte>) {
      ++visited;
      return Status();
    });
    EXPECT_TRUE(end.has_value()) << end.error().message();
    if (!end) return {};
    EXPECT_EQ(end->records, visited);
    return *end;
  }
  static void expect_counts_all(const LogEnd& end, std::uint64_t records) {
    EXPECT_EQ(end.records, records);
    EXPECT_EQ(end.distrusted, 0U);
    EXPECT_FALSE(end.is_damaged());
    EXPECT_NE(end.unreadable_data, "");
  }
  static void expect_ends_doubtful(const LogEnd& end, std::uint64_t records) {
    EXPECT_EQ(end.records, records);
    EXPECT_TRUE(end.is_damaged());
    EXPECT_TRUE(end.ends_at_unreadable_data);
    EXPECT_NE(end.unreadable_data, "");
  }
  static void expect_torn(const LogEnd& end, std::uint64_t records) {
    EXPECT_EQ(end.records, records);
    EXPECT_FALSE(end.is_damaged());
    EXPECT_EQ(end.unreadable_data, "");
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

// It was acknowledged and has gone bad since, as far as anybody can tell.
TEST_F(LogWitness, UnreadableDataOfATailThatIsThereCounts) {
  begin();
  append_tail(5);
  for (std::uint64_t record = 0; record < 5; ++record) {
    for (std::uint64_t within = 0; within < 4; ++within) {
      expect_counts_all(read_without({1000 + record * 10 + within}), 5);
    }
  }
  const LogEnd end = read_without({1012, 1030});
  expect_counts_all(end, 5);
  EXPECT_TRUE(end.unreadable_data.starts_with("block 1012: ")) << end.unreadable_data;
}

TEST_F(LogWitness, UnreadableDataBeforeMissingDataEndsTheLog) {
  begin();
  append_tail(5);
  lose(BlockNumber{1033});
  for (std::uint64_t record = 0; record < 3; ++record) {
    const LogEnd end = read_without({1000 + record * 10});
    expect_ends_doubtful(end, record);
    EXPECT_EQ(end.distrusted, 5 - record);
  }
}

TEST_F(LogWitness, UnreadableDataBeforeMissingDataOfTheSameChunkToo) {
  begin();
  for (std::uint64_t i = 0; i < 5; ++i) append_write(BlockNumber{1000 + i * 10}, 4);
  sync();
  expect_counts_all(read_without({1021}), 5);
  lose(BlockNumber{1033});
  expect_ends_doubtful(read_without({1021}), 2);
}

// What is known to be missing needs no doubt.
TEST_F(LogWitness, ARecordPartlyUnreadableAndPartlyMissingIsTorn) {
  begin();
  append_tail(5);
  lose(BlockNumber{1021});
  for (const std::uint64_t unreadable : {1020U, 1022U, 1023U, 1030U, 1040U}) expect_torn(read_without({unreadable}), 2);
}

TEST_F(LogWitness, OneBlockAmongThoseOfOneReadIsTold) {
  begin();
  append_write(BlockNumber{1000}, 700);
  append_write(BlockNumber{1700}, 1);
  sync();
  expect_counts_all(read_without({1300}), 2);
  lose(BlockNumber{1299});
  expect_torn(read_without({1300}), 0);
}

TEST_F(LogWitness, ManyUnreadableBlocks) {
  begin();
  append_write(BlockNumber{1000}, 700);
  append_write(BlockNumber{1700}, 1);
  sync();
  std::set<std::uint64_t> bad;
  for (std::uint64_t block = 1000; block < 1700; ++block) bad.insert(block);
  expect_counts_all(read_without(bad), 2);
  lose(BlockNumber{1700});
  expect_ends_doubtful(read_without(bad), 0);
}

TEST_F(LogWitness, DataThatCannotBeReadOnceIsReadAgain) {
  begin();
  append_tail(3);
  const LogEnd end = read_without({1012}, 1);
  EXPECT_EQ(end.records, 3U);
  EXPECT_EQ(end.unreadable_data, "");
}

TEST_F(LogWitness, UnreadableDataThatWasDurableBeforeIsNotAsked) {
  begin();
  append_write(BlockNumber{1000}, 4);
  sync();
  append_write(BlockNumber{1010}, 4);
  sync();
  const LogEnd end = read_without({1002});
  EXPECT_EQ(end.records, 2U);
  EXPECT_EQ(end.unreadable_data, "");
}

// A device that is gone, or the like.
TEST_F(LogWitness, OtherErrorsOfTheDeviceAreErrors) {
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
