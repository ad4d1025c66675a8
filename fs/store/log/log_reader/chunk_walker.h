// Goes through the chunks of a log on a device that may be damaged.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/layout.h"
#include "fs/format/log.h"

namespace ashlar::store {

struct Chunk {
  format::ChunkHeader header;
  Lsn start;
  std::span<const std::byte> bytes;  // header.length of them; valid until the next call
};

// One thread. The queue, superblock and layout outlive it.
class ChunkWalker {
 public:
  ChunkWalker(blockio::IoQueue& io, const format::Superblock& superblock, const format::Layout& layout);

  // The next chunk as long as they are valid; none at the end of the log, which is also what the device fails to read
  // alone. Errors of the device other than io_error, and chunks that no writer makes, are errors.
  [[nodiscard]] Result<std::optional<Chunk>> next();

  [[nodiscard]] Lsn position() const noexcept { return next_; }
  [[nodiscard]] std::uint32_t chain() const noexcept { return chain_; }
  // What the device says about the place where the log ended, when it cannot read it.
  [[nodiscard]] Status take_fault() { return std::move(fault_); }

  // After the end: looks at the rest of the lap for a chunk of this log that says that records behind the end had been
  // durable before it was written. Returns up to where. No crash leaves such a chunk, as writes may be lost only as
  // long as nobody knows them to be durable. The fault is returned when nothing of the rest can be read.
  [[nodiscard]] Result<std::optional<Lsn>> find_proof_of_loss();

 private:
  [[nodiscard]] std::uint64_t round_up(std::uint64_t bytes) const noexcept {
    return (bytes + block_size_ - 1) / block_size_ * block_size_;
  }
  // From here to the end of the area and of the lap.
  [[nodiscard]] std::uint64_t room_at(Lsn lsn) const noexcept;
  [[nodiscard]] Result<std::optional<Chunk>> chunk_at(Lsn lsn);
  [[nodiscard]] Result<std::optional<Chunk>> read_chunk(Lsn lsn);
  // A valid chunk of this log at `lsn`, whatever the one before it.
  [[nodiscard]] Result<std::optional<format::ChunkHeader>> stray_chunk_at(Lsn lsn);
  // `size` bytes at `offset` of the area, which must lie inside it.
  [[nodiscard]] Result<std::span<const std::byte>> view(std::uint64_t offset, std::uint64_t size);
  [[nodiscard]] Status load(std::uint64_t offset, std::uint64_t size);
  [[nodiscard]] Status load_exactly(std::uint64_t offset, std::uint64_t length);

  blockio::IoQueue& io_;
  const format::Superblock& superblock_;
  const std::uint64_t block_size_;
  const std::uint64_t area_first_;  // byte on the device
  const std::uint64_t area_bytes_;
  const Lsn first_;
  Lsn next_;
  std::uint32_t chain_;
  Status fault_;
  std::size_t window_size_;  // of the next read
  blockio::AlignedBuffer buffer_;
  std::uint64_t window_start_ = 0;
  std::uint64_t window_length_ = 0;
};

}  // namespace ashlar::store
