// Compares data on the device with the checksums that the records of a log bear witness to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/endian.h"
#include "fs/format/layout.h"
#include "fs/store/log/log_reader/chunk_walker.h"

namespace ashlar::store {

// What the device has of the data that a chunk's records name, as indices of records, counted from its first. The
// number of its records stands for none.
struct WitnessVerdict {
  std::uint64_t missing = 0;  // the first whose data is not there: something else is
  // The first, if it lies before `missing`, with data that the device fails to read (io_error), while nothing of it is
  // known to be missing; else as `missing`. What the device says of it is `fault`.
  std::uint64_t unreadable = 0;
  std::string fault;
};

// One thread. The queue outlives it.
class WitnessChecker {
 public:
  WitnessChecker(blockio::IoQueue& io, const format::Layout& layout);

  // Records before the LSN `trusted` are true without looking. Errors of the device other than io_error, and records
  // that no writer makes, are errors.
  [[nodiscard]] Result<WitnessVerdict> judge(const Chunk& chunk, Lsn trusted);

 private:
  // What one read asks for.
  struct Piece {
    BlockNumber first;
    std::span<const format::le32> checksums;
    std::uint64_t record;  // index in the chunk
  };
  enum class Finding : std::uint8_t { arrived, missing, unreadable };

  [[nodiscard]] Status collect(std::span<const std::byte> record, std::uint64_t index);
  [[nodiscard]] Status judge_pieces(WitnessVerdict& verdict);
  // Reads all of `batch`, each into `stride` bytes; false when the device failed to read some of it.
  [[nodiscard]] Result<bool> read(std::span<const Piece> batch, std::size_t stride);
  [[nodiscard]] bool matches(const Piece& piece, std::span<const std::byte> data) const;
  // Block by block, to tell what cannot be read from what can.
  [[nodiscard]] Result<Finding> examine(const Piece& piece, std::span<std::byte> buffer);

  blockio::IoQueue& io_;
  const std::size_t block_size_;
  const std::uint64_t block_count_;
  const std::size_t blocks_per_read_;
  blockio::AlignedBuffer buffer_;
  std::vector<Piece> pieces_;  // of one chunk, in record order
  std::string fault_;          // of the block examined last that could not be read
  int unreadable_blocks_ = 0;  // met so far
};

}  // namespace ashlar::store
