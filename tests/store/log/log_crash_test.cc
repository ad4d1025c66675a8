// After a power cut at any moment the log holds a prefix of what was appended: all that a sync acknowledged, nothing
// without its data.
#include <fmt/core.h>

#include <algorithm>

#include "blockio/recording_device.h"
#include "fs/format/checksum.h"
#include "tests/store/log/log_fixture.h"

namespace ashlar::store {
namespace {

constexpr std::uint64_t kFirstDataBlock = 2600;  // behind the fixed parts
constexpr std::uint64_t kBlocksPerRecord = 2;
constexpr int kCutsPerEvent = 2;

class LogCrash : public LogFixture, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  struct Appended {
    Bytes record;
    Bytes data;
    BlockNumber first;
  };
  // From this event on the volume is this superblock's, whose log begins with record number `first_record`.
  struct Checkpoint {
    std::size_t event;
    format::Superblock superblock;
    std::size_t first_record;
  };
  // From this event on so many records are acknowledged.
  struct Acknowledged {
    std::size_t event;
    std::size_t records;
  };

  void append_with_data() {
    const std::size_t block_size = layout().block_size();
    Appended appended;
    appended.first = BlockNumber{kFirstDataBlock + records_.size() * kBlocksPerRecord};
    appended.data.resize((1 + random_() % kBlocksPerRecord) * block_size);
    for (std::byte& byte : appended.data) byte = static_cast<std::byte>(random_());
    blockio::AlignedBuffer buffer(appended.data.size());
    std::copy(appended.data.begin(), appended.data.end(), buffer.data());
    blockio::IoOp write = blockio::IoOp::write(layout().byte_offset(appended.first), buffer.span());
    ASSERT_TRUE(queue_->run(write).has_value());

    std::vector<format::le32> checksums;
    for (std::size_t at = 0; at < appended.data.size(); at += block_size) {
      checksums.emplace_back(format::crc32c(std::span(appended.data).subspan(at, block_size)));
    }
    RecordBuilder builder;
    builder.put(format::Key{InodeNumber{records_.size()}, format::ItemKind::inline_data, 0}, Bytes(random_() % 3000));
    builder.witness(BlockRun{appended.first, checksums.size()}, checksums);
    appended.record = to_bytes(builder.finish());
    append(appended.record);
    records_.push_back(std::move(appended));
  }

  void make_checkpoint() {
    const LogPosition position = writer_->seal();
    blockio::IoOp flush = blockio::IoOp::flush();
    ASSERT_TRUE(queue_->run(flush).has_value());
    superblock_.log_start = position.start.value();
    superblock_.log_start_chain = position.chain;
    checkpoints_.push_back({recorder_->event_count(), superblock_, records_.size()});
    acknowledged_.push_back({recorder_->event_count(), records_.size()});
    writer_->advance_tail(position.start);
  }

  void run_workload() {
    recorder_ = std::make_unique<blockio::RecordingDevice>(memory_.snapshot());
    auto queue = recorder_->open_queue({});
    ASSERT_TRUE(queue.has_value());
    queue_ = std::move(*queue);
    shrink_log(32);
    begin();
    checkpoints_.push_back({0, superblock_, 0});
    acknowledged_.push_back({0, 0});
    for (int i = 0; i < 100; ++i) {
      if (writer_->fill() > 0.6) make_checkpoint();
      append_with_data();
      if (HasFatalFailure()) return;
      if (random_() % 6 == 0) static_cast<void>(writer_->seal());
      if (random_() % 4 != 0) continue;
      ASSERT_TRUE(writer_->sync(*queue_, writer_->end()).has_value());
      acknowledged_.push_back({recorder_->event_count(), records_.size()});
    }
  }

  void check_after(std::size_t event, const blockio::MemoryImage& image) {
    const auto checkpoint = std::find_if(checkpoints_.rbegin(), checkpoints_.rend(),
                                         [event](const Checkpoint& c) { return c.event <= event; });
    const auto acknowledged = std::find_if(acknowledged_.rbegin(), acknowledged_.rend(),
                                           [event](const Acknowledged& a) { return a.event <= event; });
    blockio::MemoryDevice device(image);
    auto queue = device.open_queue({});
    ASSERT_TRUE(queue.has_value());
    std::size_t next = checkpoint->first_record;
    const auto end = read_log(**queue, checkpoint->superblock, [&](Lsn, std::span<const std::byte> record) {
      if (next >= records_.size() || to_bytes(record) != records_[next].record) {
        return Status(fail(ErrorCode::corrupt_structure, fmt::format("not record {}", next)));
      }
      Bytes data(records_[next].data.size());
      image.read(layout().byte_offset(records_[next].first), data);
      if (data != records_[next].data) {
        return Status(fail(ErrorCode::corrupt_structure, fmt::format("record {} without its data", next)));
      }
      ++next;
      return Status();
    });
    ASSERT_TRUE(end.has_value()) << end.error().message();
    ASSERT_FALSE(end->is_damaged()) << "a power cut is no damage";
    ASSERT_GE(next, acknowledged->records) << "an acknowledged record is lost";
    if (next > acknowledged->records) ++unacknowledged_kept_;
    if (end->distrusted > 0) ++distrusted_;
  }

  std::unique_ptr<blockio::RecordingDevice> recorder_;
  std::unique_ptr<blockio::IoQueue> queue_;
  std::vector<Appended> records_;
  std::vector<Checkpoint> checkpoints_;
  std::vector<Acknowledged> acknowledged_;
  std::size_t unacknowledged_kept_ = 0;
  std::size_t distrusted_ = 0;
};

TEST_P(LogCrash, APrefixWithAllThatWasAcknowledged) {
  random_.seed(GetParam());
  run_workload();
  if (HasFatalFailure()) return;
  ASSERT_GT(checkpoints_.size(), 2U);
  for (std::size_t event = 0; event <= recorder_->event_count(); ++event) {
    SCOPED_TRACE(fmt::format("power cut after event {}", event));
    check_after(event, recorder_->after_power_cut(event));
    for (int cut = 0; cut < kCutsPerEvent && !HasFatalFailure(); ++cut) {
      check_after(event, recorder_->after_power_cut(event, &random_));
    }
    if (HasFatalFailure()) return;
  }
  // Otherwise the interesting cases never came up.
  EXPECT_GT(unacknowledged_kept_, 0U);
  EXPECT_GT(distrusted_, 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, LogCrash, ::testing::Range<std::uint64_t>(1, 5));

}  // namespace
}  // namespace ashlar::store
