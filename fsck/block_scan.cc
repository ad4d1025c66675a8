#include "fsck/block_scan.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace ashlar::fsck {

BlockScan::BlockScan(blockio::IoQueue& io, std::uint32_t block_size, std::size_t reach)
    : io_(io),
      block_size_(block_size),
      reach_((std::max<std::size_t>(reach, block_size) + block_size - 1) / block_size * block_size),
      buffer_(reach_ + kPieces * kPieceBytes) {}

Status BlockScan::run(BlockRun run, const Visitor& visit) {
  if (!has_memory()) return fail(ErrorCode::out_of_memory);
  const std::size_t blocks_in_buffer = buffer_.size() / block_size_;
  unreadable_.assign(blocks_in_buffer, false);
  BlockNumber first = run.first;  // where the buffer begins
  std::size_t filled = 0;         // blocks in it
  while (first < run.end()) {
    const std::size_t wanted = std::min<std::uint64_t>(blocks_in_buffer, run.end() - first);
    fill(first + filled, filled * block_size_, (wanted - filled) * block_size_);
    const bool is_last = first + wanted == run.end();
    // Those whose reach is in the buffer; at the end all.
    const std::size_t visited = is_last ? wanted : wanted - reach_ / block_size_ + 1;
    for (std::size_t i = 0; i < visited; ++i) {
      if (unreadable_[i]) continue;
      TRY(visit(first + i, buffer_.span().subspan(i * block_size_, (wanted - i) * block_size_)));
    }
    filled = wanted - visited;
    std::memmove(buffer_.data(), buffer_.data() + visited * block_size_, filled * block_size_);
    for (std::size_t i = 0; i < filled; ++i) unreadable_[i] = unreadable_[visited + i];
    first = first + visited;
  }
  return {};
}

void BlockScan::fill(BlockNumber first, std::size_t place, std::size_t bytes) {
  // What is kept of the last time is at most a reach, so the pieces are never too few.
  std::array<blockio::IoOp, kPieces + 1> reads;
  std::array<blockio::IoOp*, kPieces + 1> pointers{};
  std::size_t count = 0;
  const std::size_t most = (bytes / reads.size() / kPieceBytes + 1) * kPieceBytes;
  for (std::size_t done = 0; done < bytes; done += most) {
    reads[count] = blockio::IoOp::read(first.value() * block_size_ + done,
                                       buffer_.span().subspan(place + done, std::min(most, bytes - done)));
    pointers[count] = &reads[count];
    ++count;
  }
  static_cast<void>(io_.run(std::span(pointers).first(count)).has_value());  // each read's own outcome counts
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = place + i * most;
    const std::size_t length = std::min(most, place + bytes - begin);
    for (std::size_t at = begin; at < begin + length; at += block_size_) {
      unreadable_[at / block_size_] = false;
      if (reads[i].ok()) continue;
      const std::span<std::byte> block = buffer_.span().subspan(at, block_size_);
      blockio::IoOp single = blockio::IoOp::read((first.value() * block_size_) + at - place, block);
      unreadable_[at / block_size_] = !io_.run(single).has_value();
      if (unreadable_[at / block_size_]) std::fill(block.begin(), block.end(), std::byte{0});
    }
  }
}

}  // namespace ashlar::fsck
