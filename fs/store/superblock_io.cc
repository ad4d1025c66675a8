#include "fs/store/superblock_io.h"

#include <cstring>
#include <ctime>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fs/base/seeded_bug.h"

namespace ashlar::store {

using format::kCopies;
using format::kSuperblockSize;
using format::kSuperblockSlots;

Result<format::Superblock> read_superblock(const blockio::Geometry& geometry, blockio::IoQueue& io, bool for_writing) {
  constexpr std::size_t kCount = kSuperblockSlots * kCopies;
  if (geometry.size < format::kMinVolumeBytes) {
    return fail(ErrorCode::device_too_small, "too small to hold a volume: truncated, or not an AshlarFS volume");
  }
  blockio::AlignedBuffer buffer(kCount * kSuperblockSize);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);

  std::array<blockio::IoOp, kCount> ops;
  std::array<blockio::IoOp*, kCount> pointers{};
  for (std::size_t i = 0; i < kCount; ++i) {
    ops[i] = blockio::IoOp::read(format::superblock_offset(i / kCopies, i % kCopies),
                                 buffer.span().subspan(i * kSuperblockSize, kSuperblockSize));
    pointers[i] = &ops[i];
  }
  const Status all_read = io.run(pointers);
  std::vector<format::Superblock> copies(kCount);
  bool any_read = false;
  for (std::size_t i = 0; i < kCount; ++i) {
    if (!ops[i].ok()) continue;  // left zero: not valid
    any_read = true;
    std::memcpy(&copies[i], buffer.data() + i * kSuperblockSize, kSuperblockSize);
  }
  if (!any_read) return fail(all_read.error().code(), "no superblock can be read");
  const std::size_t chosen = TRY(format::choose_superblock(copies, geometry.size, for_writing));
  return copies[chosen];
}

Result<ClaimedVolume> claim_volume(const blockio::Geometry& geometry, blockio::IoQueue& io,
                                   const claim::ClaimOptions& options) {
  ClaimedVolume volume;
  volume.superblock = TRY(read_superblock(geometry, io, true));
  volume.claim = TRY(claim::VolumeClaim::take(io, volume.superblock, options));
  if (volume.claim) volume.superblock = TRY(read_superblock(geometry, io, true));  // whoever had it may have written
  return volume;
}

// Sealed, in memory that a device takes.
static Result<blockio::AlignedBuffer> sealed_image(format::Superblock& superblock) {
  blockio::AlignedBuffer buffer(kSuperblockSize);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  format::seal(superblock);
  std::memcpy(buffer.data(), &superblock, kSuperblockSize);
  return buffer;
}

Status write_superblock(blockio::IoQueue& io, format::Superblock& superblock) {
  const blockio::AlignedBuffer buffer = TRY(sealed_image(superblock));
  const std::size_t slot = superblock.generation % kSuperblockSlots;
  std::array<blockio::IoOp, kCopies> ops;
  std::array<blockio::IoOp*, kCopies> pointers{};
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    ops[copy] = blockio::IoOp::write(format::superblock_offset(slot, copy), buffer.span());
    pointers[copy] = &ops[copy];
  }
  TRY(io.run(pointers));
  if (has_bug(SeededBug::superblock_not_flushed)) return {};
  blockio::IoOp flush = blockio::IoOp::flush();
  return io.run(flush);
}

Status rewrite_superblock(blockio::IoQueue& io, format::Superblock& superblock) {
  const blockio::AlignedBuffer buffer = TRY(sealed_image(superblock));
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    const std::size_t slot = superblock.generation % kSuperblockSlots;
    blockio::IoOp write = blockio::IoOp::write_durable(format::superblock_offset(slot, copy), buffer.span());
    TRY(io.run(write));
  }
  return {};
}

std::uint64_t now_seconds() noexcept { return static_cast<std::uint64_t>(std::time(nullptr)); }

}  // namespace ashlar::store
