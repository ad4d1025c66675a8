#include "fs/volume/block_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "blockio/io_op.h"
#include "fs/base/log.h"
#include "fs/format/checksum.h"

namespace ashlar::volume {
namespace {

// The part of an extent that a read wants.
struct Piece {
  const MappedExtent* extent = nullptr;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

std::vector<Piece> written_pieces(const ExtentWindow& window, std::uint64_t first, std::uint64_t end) {
  std::vector<Piece> pieces;
  for (const MappedExtent& extent : window.extents()) {
    const std::uint64_t from = std::max(first, extent.file_block);
    const std::uint64_t to = std::min(end, extent.end());
    if (from < to && !extent.unwritten()) pieces.push_back({&extent, from, to});
  }
  return pieces;
}

Status verify(VolumeState& volume, InodeNumber inode, const ExtentWindow& window, const Piece& piece,
              const std::byte* data, std::vector<std::uint64_t>* bad) {
  if (!piece.extent->checksummed()) return {};
  for (std::uint64_t block = piece.first; block < piece.end; ++block, data += volume.block_size) {
    if (format::crc32c({data, volume.block_size}) == window.checksum(*piece.extent, block)) continue;
    volume.store->note_data_error();
    if (bad != nullptr) {
      bad->push_back(block);
      continue;
    }
    const std::string message =
        fmt::format("{}: inode {}, offset {}: checksum mismatch in volume block {}", volume.device.name(),
                    inode.value(), block * volume.block_size, piece.extent->physical_of(block).value());
    log_line(LogLevel::error, message);
    return fail(ErrorCode::io_error, message);
  }
  return {};
}

}  // namespace

Status read_file_blocks(VolumeState& volume, blockio::IoQueue& io, InodeNumber inode, const ExtentWindow& window,
                        std::uint64_t first, std::uint64_t end, std::byte* out, std::vector<std::uint64_t>* bad) {
  const std::uint64_t block_size = volume.block_size;
  const auto place = [&](std::uint64_t block) { return out + (block - first) * block_size; };
  const std::vector<Piece> pieces = written_pieces(window, first, end);

  std::vector<blockio::IoOp> reads;
  reads.reserve(pieces.size());  // never reallocated: operations must stay where they are
  std::uint64_t zeroed_to = first;
  for (const Piece& piece : pieces) {
    if (zeroed_to < piece.first) std::memset(place(zeroed_to), 0, (piece.first - zeroed_to) * block_size);
    zeroed_to = piece.end;
    const BlockRun run{piece.extent->physical_of(piece.first), piece.end - piece.first};
    TRY(volume.store->settle(io, run));
    const std::uint64_t offset = volume.store->layout().byte_offset(run.first);
    const std::uint64_t length = (piece.end - piece.first) * block_size;
    if (!reads.empty() && reads.back().offset + reads.back().length == offset &&
        static_cast<std::byte*>(reads.back().single.iov_base) + reads.back().length == place(piece.first)) {
      const blockio::IoOp& last = reads.back();
      reads.back() = blockio::IoOp::read(last.offset, {place(piece.first) - last.length, last.length + length});
    } else {
      reads.push_back(blockio::IoOp::read(offset, {place(piece.first), length}));
    }
  }
  if (zeroed_to < end) std::memset(place(zeroed_to), 0, (end - zeroed_to) * block_size);
  if (!reads.empty()) {
    std::vector<blockio::IoOp*> ops;
    ops.reserve(reads.size());
    for (blockio::IoOp& read : reads) ops.push_back(&read);
    TRY(io.run(ops));
  }
  for (const Piece& piece : pieces) TRY(verify(volume, inode, window, piece, place(piece.first), bad));
  return {};
}

}  // namespace ashlar::volume
