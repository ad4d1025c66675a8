// A log that is damaged where no crash damages one: what is left is used, and that something is missing is noticed.
#include <algorithm>

#include "blockio/faulty_device.h"
#include "tests/store/log/log_fixture.h"

namespace ashlar::store {
namespace {

class LogDamage : public LogFixture {
 protected:
  // Appends and makes a chunk of its own of it, acknowledged as durable.
  void append_chunk(std::size_t size) {
    starts_.push_back(writer_->seal().start);
    append(make_record(size));
    ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  }
  void flip(std::uint64_t offset) {
    Bytes byte = peek(offset, 1);
    byte[0] ^= std::byte{0x10};
    overwrite(offset, byte);
  }
  // Blocks that the device fails to read, from now on.
  [[nodiscard]] Result<LogEnd> read_with_bad_blocks(std::vector<std::uint64_t> offsets, std::size_t& visited) {
    blockio::FaultyDevice faulty(device_);
    const auto io = faulty.open_queue({});
    EXPECT_TRUE(io.has_value());
    faulty.set_plan([&offsets](const blockio::FaultQuestion& question) {
      const bool hit = std::any_of(offsets.begin(), offsets.end(), [&question](std::uint64_t bad) {
        return question.op.offset <= bad && bad < question.op.offset + question.op.length;
      });
      return hit ? blockio::Fault::fail : blockio::Fault::none;
    });
    visited = 0;
    return read_log(**io, superblock_, [&visited](Lsn, std::span<const std::byte>) {
      ++visited;
      return Status();
    });
  }

  std::vector<Lsn> starts_;
};

TEST_F(LogDamage, AcknowledgedChunksBehindADamagedOneAreMissed) {
  begin();
  for (int i = 0; i < 6; ++i) append_chunk(2000);
  for (std::size_t chunk = 0; chunk < starts_.size(); ++chunk) {
    SCOPED_TRACE(chunk);
    const std::uint64_t at = device_offset(starts_[chunk]) + 70;
    flip(at);
    LogEnd end;
    EXPECT_EQ(read_back(&end).size(), chunk);
    // Of the last one nobody can say whether it was ever whole.
    EXPECT_EQ(end.is_damaged(), chunk + 1 < starts_.size());
    EXPECT_GT(end.lost_upto.value_or(end.next + 1), end.next);
    EXPECT_EQ(end.unreadable, "");
    flip(at);
  }
  LogEnd end;
  EXPECT_EQ(read_back(&end).size(), 6U);
  EXPECT_FALSE(end.is_damaged());
}

TEST_F(LogDamage, AlsoAcrossTheEndOfTheArea) {
  shrink_log(32);
  begin();
  for (int lap = 0; lap < 9; ++lap) {
    checkpoint();
    starts_.clear();
    for (int i = 0; i < 5; ++i) append_chunk(5000 + 3000 * static_cast<std::size_t>(i % 3));
    LogEnd end;
    ASSERT_EQ(read_back(&end).size(), 5U);
    ASSERT_FALSE(end.is_damaged());
    for (std::size_t chunk = 0; chunk < 5; ++chunk) {
      // Where it was put, when the area's end was near.
      Lsn start = starts_[chunk];
      const auto begins_at = [this](Lsn lsn) {
        const Bytes header = peek(device_offset(lsn), sizeof(format::ChunkHeader));
        return reinterpret_cast<const format::ChunkHeader*>(header.data())->lsn == lsn.value();
      };
      if (!begins_at(start)) start = start + (area_bytes() - start.value() % area_bytes());
      flip(device_offset(start) + 70);
      EXPECT_EQ(read_back(&end).size(), chunk);
      EXPECT_EQ(end.lost_upto.has_value(), chunk < 4) << "lap " << lap << " chunk " << chunk;
      flip(device_offset(start) + 70);
    }
  }
}

// Writes that nobody was told of may arrive in any order.
TEST_F(LogDamage, LaterChunksOfOneSyncProveNothing) {
  begin();
  append_chunk(100);
  const Lsn lost = writer_->seal().start;
  const Bytes before = peek(device_offset(lost), 4096);
  for (int i = 0; i < 4; ++i) {
    append(make_record(1000));
    static_cast<void>(writer_->seal());
  }
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  overwrite(device_offset(lost), before);
  LogEnd end;
  EXPECT_EQ(read_back(&end).size(), 1U);
  EXPECT_FALSE(end.is_damaged());
}

TEST_F(LogDamage, AVolumeUnmountedCleanlyIsNotSearched) {
  begin();
  append_chunk(100);
  append_chunk(100);
  flip(device_offset(starts_[0]) + 70);
  superblock_.flags = format::kCleanlyUnmounted;
  LogEnd end;
  EXPECT_EQ(read_back(&end).size(), 0U);
  EXPECT_FALSE(end.is_damaged());
}

TEST_F(LogDamage, ABadBlockBehindTheEndDoesNotMatter) {
  begin();
  for (int i = 0; i < 3; ++i) append_chunk(9000);
  const std::uint64_t behind = device_offset(writer_->seal().start);
  std::size_t visited = 0;
  for (const std::uint64_t distance : {4096U, 8192U, 60'000U, 200'000U}) {
    const Result<LogEnd> end = read_with_bad_blocks({behind + distance}, visited);
    ASSERT_TRUE(end.has_value()) << end.error().message();
    EXPECT_EQ(visited, 3U);
    EXPECT_FALSE(end->is_damaged());
  }
}

TEST_F(LogDamage, ABadBlockEndsTheLogThereAndIsReported) {
  begin();
  for (int i = 0; i < 5; ++i) append_chunk(9000);
  starts_.push_back(writer_->seal().start);
  std::size_t visited = 0;
  for (std::size_t chunk = 0; chunk < starts_.size(); ++chunk) {
    for (const std::uint64_t within : {0U, 5000U}) {
      if (chunk == 5 && within != 0) continue;
      const Result<LogEnd> end = read_with_bad_blocks({device_offset(starts_[chunk]) + within}, visited);
      ASSERT_TRUE(end.has_value()) << end.error().message();
      EXPECT_EQ(visited, chunk);
      EXPECT_EQ(end->next, starts_[chunk]);
      EXPECT_NE(end->unreadable, "");
      EXPECT_EQ(end->lost_upto.has_value(), chunk < 4);
    }
  }
}

TEST_F(LogDamage, ALogOfWhichNothingCanBeReadIsAnError) {
  begin();
  append_chunk(100);
  blockio::FaultyDevice faulty(device_);
  const auto io = faulty.open_queue({});
  ASSERT_TRUE(io.has_value());
  faulty.set_plan(blockio::fail_from(0));
  const auto end = read_log(**io, superblock_, [](Lsn, std::span<const std::byte>) { return Status(); });
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code(), ErrorCode::io_error);
}

TEST_F(LogDamage, AReadThatFailsOnceLosesNothing) {
  begin();
  for (int i = 0; i < 3; ++i) append_chunk(9000);
  for (std::uint64_t index = 0; index < 4; ++index) {
    blockio::FaultyDevice faulty(device_);
    const auto io = faulty.open_queue({});
    ASSERT_TRUE(io.has_value());
    faulty.set_plan(blockio::fail_once(index));
    std::size_t visited = 0;
    const auto end = read_log(**io, superblock_, [&visited](Lsn, std::span<const std::byte>) {
      ++visited;
      return Status();
    });
    ASSERT_TRUE(end.has_value()) << end.error().message();
    EXPECT_EQ(visited, 3U);
    EXPECT_FALSE(end->is_damaged());
  }
}

// Headers that ask for a checksum in every block.
TEST_F(LogDamage, ASearchThroughAHostileLogEnds) {
  begin();
  append_chunk(100);
  const Lsn behind = writer_->seal().start;
  format::ChunkHeader header{};
  header.magic = format::kChunkMagic;
  std::memcpy(header.uuid, superblock_.uuid, sizeof header.uuid);
  header.epoch = superblock_.log_epoch;
  for (std::uint64_t at = 0; at + 4096 <= area_bytes() - behind.value() % area_bytes(); at += 4096) {
    header.lsn = (behind + at).value();
    header.durable = header.lsn;
    header.length = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(format::kMaxChunkSize, area_bytes() - (behind + at).value() % area_bytes()));
    overwrite(device_offset(behind + at), std::as_bytes(std::span(&header, 1)));
  }
  LogEnd end;
  EXPECT_EQ(read_back(&end).size(), 1U);
  EXPECT_FALSE(end.is_damaged());
}

}  // namespace
}  // namespace ashlar::store
