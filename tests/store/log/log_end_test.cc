// Where the log ends: torn chunks, missing chunks, chunks of earlier laps and epochs, devices that cannot be read.
#include <fmt/core.h>

#include "tests/store/log/log_fixture.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kSector = 512;

class LogEndTest : public LogFixture {
 protected:
  // Appends and makes a chunk of its own of it; returns where that lies.
  Lsn append_chunk(std::size_t size) {
    const Lsn start = writer_->seal().start;
    append(make_record(size));
    EXPECT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
    return start;
  }
};

TEST_F(LogEndTest, AChunkTornAtAnySectorEndsTheLog) {
  begin();
  append_chunk(5000);
  append_chunk(100);
  const Lsn last = writer_->seal().start;
  const Bytes before = peek(device_offset(last), 3 * 4096);
  append_chunk(9000);
  const std::size_t length = sizeof(format::ChunkHeader) + since_checkpoint_.back().bytes.size();
  const Bytes after = peek(device_offset(last), before.size());
  for (std::size_t sector = 0; sector * kSector < length; ++sector) {
    overwrite(device_offset(last), after);
    overwrite(device_offset(last) + sector * kSector, std::span(before).subspan(sector * kSector, kSector));
    SCOPED_TRACE(fmt::format("sector {} was lost", sector));
    LogEnd end;
    ASSERT_EQ(read_back(&end).size(), 2U);
    ASSERT_EQ(end.next, last);
  }
  overwrite(device_offset(last), after);
  expect_log_holds(3);
}

TEST_F(LogEndTest, AFlippedBitEndsTheLogBeforeItsChunk) {
  begin();
  std::vector<Lsn> starts;
  for (int i = 0; i < 6; ++i) starts.push_back(append_chunk(2000));
  for (std::size_t chunk = 0; chunk < starts.size(); ++chunk) {
    const std::uint64_t at = device_offset(starts[chunk]) + random_() % 2000;
    Bytes byte = peek(at, 1);
    byte[0] ^= std::byte{0x10};
    overwrite(at, byte);
    expect_log_holds(chunk);
    byte[0] ^= std::byte{0x10};
    overwrite(at, byte);
  }
  expect_log_holds(6);
}

TEST_F(LogEndTest, AMissingChunkHidesThoseAfterIt) {
  begin();
  append_chunk(1000);
  const Lsn missing = writer_->seal().start;
  const Bytes before = peek(device_offset(missing), 4096);
  append_chunk(1000);
  append_chunk(1000);
  overwrite(device_offset(missing), before);
  expect_log_holds(1);
}

TEST_F(LogEndTest, ChunksOfAnEarlierLapAreNotTakenForNewOnes) {
  shrink_log(16);
  begin();
  // Chunks of one block each, so that old ones lie exactly where new ones would.
  for (int i = 0; i < 12; ++i) append_chunk(100);
  checkpoint();
  for (int i = 0; i < 12; ++i) append_chunk(100);
  checkpoint();
  expect_log_holds(0);
  for (std::size_t i = 1; i <= 12; ++i) {
    append_chunk(100);
    expect_log_holds(i);
  }
}

TEST_F(LogEndTest, ChunksOfAnEarlierEpochAreNotTakenForNewOnes) {
  begin();
  const Lsn start{superblock_.log_start};
  for (int i = 0; i < 8; ++i) append_chunk(100);
  // The same place begins a new log, whatever lies there.
  superblock_.log_epoch = superblock_.log_epoch + 1;
  expect_log_holds(0);
  begin();
  ASSERT_EQ(writer_->seal().start, start);
  append_chunk(100);
  append_chunk(100);
  expect_log_holds(2);
}

TEST_F(LogEndTest, ABrokenChainEndsTheLog) {
  begin();
  append_chunk(100);
  superblock_.log_start_chain = superblock_.log_start_chain + 1;
  expect_log_holds(0);
}

TEST_F(LogEndTest, AnUnreadableLogIsAnErrorNotItsEnd) {
  begin();
  append_chunk(100);
  device_.watch([](blockio::IoOp& op) { WatchedDevice::spoil(op); });
  const auto result = read_log(*io_, superblock_, [](Lsn, std::span<const std::byte>) { return Status(); });
  EXPECT_FALSE(result.has_value());
}

TEST_F(LogEndTest, TheVisitorsErrorEndsTheReading) {
  begin();
  append_chunk(100);
  append_chunk(100);
  int visited = 0;
  const auto result = read_log(*io_, superblock_, [&](Lsn, std::span<const std::byte>) {
    ++visited;
    return Status(fail(ErrorCode::corrupt_structure, "not this one"));
  });
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message(), "not this one");
  EXPECT_EQ(visited, 1);
}

// Chunks that carry the right checksums and say what no writer of ours says.
class HostileLog : public LogEndTest {
 protected:
  void reseal(Lsn start, const std::function<void(format::ChunkHeader&)>& change) {
    Bytes block = peek(device_offset(start), format::kMaxChunkSize);
    format::ChunkHeader header;
    std::memcpy(&header, block.data(), sizeof header);
    change(header);
    std::memcpy(block.data(), &header, sizeof header);
    format::seal_chunk(block);
    overwrite(device_offset(start), std::span(block).first(std::min<std::size_t>(block.size(), header.length)));
  }
  [[nodiscard]] ErrorCode error_of_reading() {
    const auto result = read_log(*io_, superblock_, [](Lsn, std::span<const std::byte>) { return Status(); });
    EXPECT_FALSE(result.has_value());
    return result ? ErrorCode::io_error : result.error().code();
  }
};

TEST_F(HostileLog, RecordCountThatDoesNotFit) {
  begin();
  const Lsn start = append_chunk(100);
  reseal(start, [](format::ChunkHeader& header) { header.record_count = 2; });
  EXPECT_EQ(error_of_reading(), ErrorCode::corrupt_structure);
  reseal(start, [](format::ChunkHeader& header) { header.record_count = 0; });
  EXPECT_EQ(error_of_reading(), ErrorCode::corrupt_structure);
}

TEST_F(HostileLog, DurableBeyondTheChunk) {
  begin();
  const Lsn start = append_chunk(100);
  reseal(start, [](format::ChunkHeader& header) { header.durable = ~0ULL; });
  EXPECT_EQ(error_of_reading(), ErrorCode::corrupt_structure);
}

TEST_F(HostileLog, LengthsOutOfRangeEndTheLog) {
  begin();
  const Lsn start = append_chunk(100);
  for (const std::uint32_t length :
       {0U, 1U, 63U, static_cast<std::uint32_t>(format::kMaxChunkSize) + 4, 0xffff'fffcU}) {
    Bytes block = peek(device_offset(start), 4096);
    format::ChunkHeader header;
    std::memcpy(&header, block.data(), sizeof header);
    const Bytes saved = block;
    header.length = length;
    std::memcpy(block.data(), &header, sizeof header);
    overwrite(device_offset(start), block);
    expect_log_holds(0);
    overwrite(device_offset(start), saved);
  }
  expect_log_holds(1);
}

TEST_F(HostileLog, StartOutOfRange) {
  for (const std::uint64_t start : {std::uint64_t{1}, std::uint64_t{4095}, ~std::uint64_t{0}, ~std::uint64_t{4095}}) {
    superblock_.log_start = start;
    EXPECT_EQ(error_of_reading(), ErrorCode::corrupt_structure);
  }
}

TEST_F(HostileLog, WitnessOfBlocksPastTheVolume) {
  begin();
  RecordBuilder builder;
  const format::le32 checksum(1);
  builder.witness(BlockRun{BlockNumber{superblock_.block_count}, 1}, std::span(&checksum, 1));
  append(to_bytes(builder.finish()));
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  EXPECT_EQ(error_of_reading(), ErrorCode::corrupt_structure);
}

}  // namespace
}  // namespace ashlar::store
