#include "tests/store/log/log_fixture.h"

#include <cstring>

#include "mkfs/format_volume.h"

namespace ashlar::store {

Bytes to_bytes(std::span<const std::byte> span) { return {span.begin(), span.end()}; }

void LogFixture::SetUp() {
  auto queue = device_.open_queue({});
  ASSERT_TRUE(queue.has_value());
  io_ = std::move(*queue);
  const auto made = mkfs::format_volume(device_, *io_, {});
  ASSERT_TRUE(made.has_value()) << made.error().message();
  superblock_ = made->superblock;
  superblock_.flags = 0;  // as that of a volume in use
}

void LogFixture::shrink_log(std::uint64_t blocks) {
  superblock_.log_blocks = blocks;
  superblock_.log_start = 0;
  superblock_.log_start_chain = 0;
}

void LogFixture::begin() {
  writer_ = std::make_unique<LogWriter>(
      layout(), superblock_.uuid,
      LogPosition{superblock_.log_epoch, Lsn{superblock_.log_start}, superblock_.log_start_chain});
  since_checkpoint_.clear();
}

std::unique_ptr<blockio::IoQueue> LogFixture::open_queue() {
  auto queue = device_.open_queue({});
  EXPECT_TRUE(queue.has_value());
  return std::move(*queue);
}

bool LogFixture::try_append(const Bytes& record) {
  const Status reserved = writer_->reserve(record.size(), [] { return Status(fail(ErrorCode::no_space)); });
  if (!reserved) return false;
  const Lsn end = writer_->append(record, record.size());
  since_checkpoint_.push_back({end, record});
  return true;
}

Lsn LogFixture::append(const Bytes& record) {
  EXPECT_TRUE(try_append(record)) << "the log is full";
  return writer_->end();
}

void LogFixture::checkpoint() {
  const LogPosition position = writer_->seal();
  superblock_.log_epoch = position.epoch;
  superblock_.log_start = position.start.value();
  superblock_.log_start_chain = position.chain;
  writer_->advance_tail(position.start);
  since_checkpoint_.clear();
}

std::vector<WrittenRecord> LogFixture::read_back(LogEnd* end) {
  std::vector<WrittenRecord> records;
  const auto result = read_log(*io_, superblock_, [&](Lsn lsn, std::span<const std::byte> record) {
    records.push_back({lsn + record.size(), to_bytes(record)});
    return Status();
  });
  EXPECT_TRUE(result.has_value()) << result.error().message();
  if (!result) return records;
  EXPECT_EQ(result->records, records.size());
  if (end != nullptr) *end = *result;
  return records;
}

void LogFixture::expect_log_holds(std::size_t count) {
  const std::vector<WrittenRecord> found = read_back();
  ASSERT_EQ(found.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(found[i].end, since_checkpoint_[i].end) << "record " << i;
    ASSERT_EQ(found[i].bytes, since_checkpoint_[i].bytes) << "record " << i;
  }
}

Bytes LogFixture::make_record(std::size_t size) {
  Bytes value(size);
  for (std::byte& byte : value) byte = static_cast<std::byte>(random_());
  RecordBuilder builder;
  builder.put(format::Key{InodeNumber{++serial_}, format::ItemKind::inline_data, 0}, value);
  return to_bytes(builder.finish());
}

void LogFixture::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  blockio::MemoryImage image = memory_.snapshot();
  image.write(offset, bytes);
  memory_.restore(std::move(image));
}

Bytes LogFixture::peek(std::uint64_t offset, std::size_t size) const {
  Bytes bytes(size);
  memory_.snapshot().read(offset, bytes);
  return bytes;
}

}  // namespace ashlar::store
