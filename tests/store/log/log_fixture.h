// A volume in memory whose log is written and read back.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "blockio/memory_device.h"
#include "fs/format/layout.h"
#include "fs/store/log/log_reader.h"
#include "fs/store/log/log_writer.h"
#include "fs/store/log/record_builder.h"
#include "tests/store/log/watched_device.h"

namespace ashlar::store {

using Bytes = std::vector<std::byte>;

// One record as a test remembers it.
struct WrittenRecord {
  Lsn end;
  Bytes bytes;
};

class LogFixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kVolumeBytes = 16U << 20;

  void SetUp() override;

  // Cuts the log down to so many blocks, to see it wrap often. Before begin().
  void shrink_log(std::uint64_t blocks);
  // A writer at the place that the superblock speaks of.
  void begin();
  [[nodiscard]] std::unique_ptr<blockio::IoQueue> open_queue();

  // Reserves without waiting and appends; ADD_FAILUREs when the log is full.
  Lsn append(const Bytes& record);
  [[nodiscard]] bool try_append(const Bytes& record);
  // All so far becomes unneeded, as after a checkpoint.
  void checkpoint();
  // What recovery would see now.
  [[nodiscard]] std::vector<WrittenRecord> read_back(LogEnd* end = nullptr);
  // The records since the last checkpoint are what the log holds, up to `count` of them.
  void expect_log_holds(std::size_t count);

  // A record with one item of `size` bytes of value; no two are alike.
  [[nodiscard]] Bytes make_record(std::size_t size);

  [[nodiscard]] std::uint64_t area_first() const { return layout().byte_offset(layout().log().first); }
  [[nodiscard]] std::uint64_t area_bytes() const { return layout().log().count * layout().block_size(); }
  [[nodiscard]] format::Layout layout() const { return format::Layout::of(superblock_); }
  [[nodiscard]] std::uint64_t device_offset(Lsn lsn) const { return area_first() + lsn.value() % area_bytes(); }

  // Changes bytes behind everybody's back.
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] Bytes peek(std::uint64_t offset, std::size_t size) const;

  blockio::MemoryDevice memory_{kVolumeBytes};
  WatchedDevice device_{memory_};
  std::unique_ptr<blockio::IoQueue> io_;
  format::Superblock superblock_{};
  std::unique_ptr<LogWriter> writer_;
  std::vector<WrittenRecord> since_checkpoint_;
  std::mt19937_64 random_{20240607};
  std::uint64_t serial_ = 0;
};

[[nodiscard]] Bytes to_bytes(std::span<const std::byte> span);

}  // namespace ashlar::store
