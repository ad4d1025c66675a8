// Reads long runs of blocks, in large pieces many of which are in flight, and shows every one.
#pragma once

#include <functional>
#include <span>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"

namespace ashlar::fsck {

class BlockScan {
 public:
  // `bytes` begin with the block and go on with what follows it on the device, at least `reach` bytes unless the run
  // ends before. An error ends the scan. Called in order; never for a block that cannot be read.
  using Visitor = std::function<Status(BlockNumber place, std::span<const std::byte> bytes)>;

  BlockScan(blockio::IoQueue& io, std::uint32_t block_size, std::size_t reach);

  [[nodiscard]] bool has_memory() const noexcept { return !buffer_.empty(); }
  [[nodiscard]] Status run(BlockRun run, const Visitor& visit);

 private:
  static constexpr std::size_t kPieceBytes = 256U << 10;
  static constexpr std::size_t kPieces = 16;  // read at once

  // Reads into the buffer at `place`; unreadable blocks are zeros and marked.
  void fill(BlockNumber first, std::size_t place, std::size_t bytes);

  blockio::IoQueue& io_;
  const std::uint32_t block_size_;
  const std::size_t reach_;
  blockio::AlignedBuffer buffer_;
  std::vector<bool> unreadable_;  // by block of the buffer
};

}  // namespace ashlar::fsck
