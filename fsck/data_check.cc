#include "fsck/data_check.h"

#include <algorithm>

#include "fs/format/checksum.h"

namespace ashlar::fsck {

DataCheck::DataCheck(CheckContext& context)
    : context_(context),
      block_size_(context.layout.block_size()),
      buffer_(kPieces * kPieceBytes),
      pieces_(std::make_unique<std::array<Piece, kPieces>>()) {
  static_assert(kPieceBytes >= format::kMaxBlockSize);
}

DataCheck::~DataCheck() {
  for (; taken_ < submitted_; ++taken_) wait((*pieces_)[taken_ % kPieces]);
}

Status DataCheck::take(std::uint64_t inode, const format::Extent& extent) {
  if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
  const std::size_t most = kPieceBytes / block_size_;
  for (std::size_t done = 0; done < extent.checksums.size(); done += most) {
    if (submitted_ - taken_ == kPieces) take_oldest();
    submit(inode, extent, done, std::min(most, extent.checksums.size() - done));
  }
  return {};
}

void DataCheck::finish() {
  while (taken_ < submitted_) take_oldest();
}

void DataCheck::submit(std::uint64_t inode, const format::Extent& extent, std::size_t first, std::size_t count) {
  const std::size_t index = submitted_ % kPieces;
  Piece& piece = (*pieces_)[index];
  piece.bytes = buffer_.span().subspan(index * kPieceBytes, count * block_size_);
  piece.inode = inode;
  piece.file_block = extent.file_block + first;
  piece.place = extent.physical + first;
  const auto checksums = extent.checksums.subspan(first, count);
  piece.checksums.assign(checksums.begin(), checksums.end());
  piece.read = blockio::IoOp::read(context_.layout.byte_offset(piece.place), piece.bytes);
  blockio::IoOp* const read = &piece.read;
  context_.io.submit(std::span(&read, 1));
  ++submitted_;
}

void DataCheck::wait(const Piece& piece) {
  while (!piece.read.done()) context_.io.wait(1);
}

void DataCheck::take_oldest() {
  Piece& piece = (*pieces_)[taken_ % kPieces];
  wait(piece);
  for (std::size_t i = 0; i < piece.checksums.size(); ++i) {
    const std::span<std::byte> block = piece.bytes.subspan(i * block_size_, block_size_);
    bool readable = piece.read.ok();
    // One bad sector fails all of the transfer.
    if (!readable) {
      blockio::IoOp single = blockio::IoOp::read(context_.layout.byte_offset(piece.place + i), block);
      readable = context_.io.run(single).has_value();
    }
    if (!readable || format::crc32c(block) != piece.checksums[i]) {
      context_.report.add(FindingId::data_checksum_wrong, piece.inode, piece.file_block + i);
    }
  }
  ++taken_;
}

}  // namespace ashlar::fsck
