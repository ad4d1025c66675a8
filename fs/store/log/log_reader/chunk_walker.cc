#include "fs/store/log/log_reader/chunk_walker.h"

#include <algorithm>
#include <cstring>

#include "fs/base/seeded_bug.h"

namespace ashlar::store {
namespace {

// The log is read through a window that grows from the first to the second: a clean volume reads little.
constexpr std::size_t kFirstWindow = 64U << 10;
constexpr std::size_t kMaxWindow = 4U << 20;
static_assert(kMaxWindow >= format::kMaxChunkSize);
// Where a search gives up: blocks that the device cannot read, and chunks whose checksum was computed in vain, of which
// a hostile log can have one in each block.
constexpr int kMostUnreadable = 64;
constexpr int kMostDamaged = 64;

format::ChunkHeader header_of(std::span<const std::byte> bytes) {
  format::ChunkHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

}  // namespace

ChunkWalker::ChunkWalker(blockio::IoQueue& io, const format::Superblock& superblock, const format::Layout& layout)
    : io_(io),
      superblock_(superblock),
      block_size_(layout.block_size()),
      area_first_(layout.byte_offset(layout.log().first)),
      area_bytes_(layout.log().count * layout.block_size()),
      first_(superblock.log_start),
      next_(first_),
      chain_(superblock.log_start_chain),
      window_size_(kFirstWindow) {}

Result<std::optional<Chunk>> ChunkWalker::next() {
  fault_ = {};
  std::optional<Chunk> chunk = TRY(chunk_at(next_));
  const std::uint64_t to_area_end = area_bytes_ - next_.value() % area_bytes_;
  if (!chunk && to_area_end != area_bytes_) chunk = TRY(chunk_at(next_ + to_area_end));
  if (!chunk) return chunk;
  if (chunk->header.durable > chunk->start.value()) {
    return fail(ErrorCode::corrupt_structure, "log chunk that is durable before it was written");
  }
  fault_ = {};  // of a gap before the area's end
  chain_ = chunk->header.crc;
  next_ = chunk->start + round_up(chunk->header.length);
  return chunk;
}

std::uint64_t ChunkWalker::room_at(Lsn lsn) const noexcept {
  const std::uint64_t used = lsn - first_;
  // One lap is all there can be; and it bounds the walk.
  return used >= area_bytes_ ? 0 : std::min(area_bytes_ - lsn.value() % area_bytes_, area_bytes_ - used);
}

Result<std::optional<Chunk>> ChunkWalker::chunk_at(Lsn lsn) {
  Result<std::optional<Chunk>> chunk = read_chunk(lsn);
  if (chunk || chunk.error().code() != ErrorCode::io_error) return chunk;
  fault_ = fail(std::move(chunk).error());
  return std::nullopt;
}

Result<std::optional<Chunk>> ChunkWalker::read_chunk(Lsn lsn) {
  const std::uint64_t room = room_at(lsn);
  if (room == 0) return std::nullopt;
  const std::uint64_t offset = lsn.value() % area_bytes_;
  std::span<const std::byte> bytes = TRY(view(offset, std::min(room, block_size_)));
  const format::ChunkHeader header = header_of(bytes);
  if (header.magic != format::kChunkMagic || header.lsn != lsn.value()) return std::nullopt;
  if (header.length > std::min<std::uint64_t>(room, format::kMaxChunkSize)) return std::nullopt;
  const std::uint64_t extent = std::max<std::uint64_t>(round_up(header.length), block_size_);
  if (extent > room) return std::nullopt;
  bytes = TRY(view(offset, extent));
  Result<format::ChunkHeader> valid =
      format::validate_chunk(bytes, superblock_.uuid, superblock_.log_epoch, lsn, chain_);
  if (valid) return Chunk{*valid, lsn, bytes.first(valid->length)};
  const ErrorCode code = valid.error().code();
  if (has_bug(SeededBug::log_checksum_unchecked) && code == ErrorCode::bad_checksum) {
    return Chunk{header, lsn, bytes.first(header.length)};
  }
  // Of an older log, or torn.
  if (code == ErrorCode::not_found || code == ErrorCode::bad_checksum) return std::nullopt;
  return fail(std::move(valid).error());
}

Result<std::optional<Lsn>> ChunkWalker::find_proof_of_loss() {
  const Lsn lap_end = first_ + area_bytes_;
  int unreadable = 0;
  int damaged = 0;
  bool any_read = false;
  for (Lsn lsn = next_; lsn < lap_end && unreadable < kMostUnreadable && damaged < kMostDamaged;) {
    Result<std::optional<format::ChunkHeader>> chunk = stray_chunk_at(lsn);
    std::uint64_t step = block_size_;
    if (chunk) {
      any_read = true;
      if (*chunk && (*chunk)->durable > next_.value()) return Lsn{(*chunk)->durable};
      if (*chunk) step = round_up((*chunk)->length);
    } else if (chunk.error().code() == ErrorCode::bad_checksum) {
      ++damaged;
    } else if (chunk.error().code() == ErrorCode::io_error) {
      ++unreadable;
    } else {
      return fail(std::move(chunk).error());
    }
    lsn += step;
  }
  if (!fault_ && !any_read) return fail(std::move(fault_).error());
  return std::nullopt;
}

Result<std::optional<format::ChunkHeader>> ChunkWalker::stray_chunk_at(Lsn lsn) {
  const std::uint64_t room = room_at(lsn);
  const std::uint64_t offset = lsn.value() % area_bytes_;
  const format::ChunkHeader header = header_of(TRY(view(offset, std::min(room, block_size_))));
  if (header.magic != format::kChunkMagic || header.lsn != lsn.value() || header.epoch != superblock_.log_epoch ||
      header.durable > lsn.value() || header.length < sizeof header ||
      header.length > std::min<std::uint64_t>(room, format::kMaxChunkSize)) {
    return std::nullopt;
  }
  const std::span<const std::byte> bytes = TRY(view(offset, std::min(room, round_up(header.length))));
  return TRY(format::validate_chunk(bytes, superblock_.uuid, superblock_.log_epoch, lsn, header.previous_crc));
}

Result<std::span<const std::byte>> ChunkWalker::view(std::uint64_t offset, std::uint64_t size) {
  if (offset < window_start_ || offset + size > window_start_ + window_length_) TRY(load(offset, size));
  return std::span<const std::byte>(buffer_.data() + (offset - window_start_), size);
}

Status ChunkWalker::load(std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t wanted = std::max<std::uint64_t>(round_up(window_size_), size);
  const std::uint64_t length = std::min(wanted, area_bytes_ - offset);
  window_size_ = std::min(window_size_ * 2, kMaxWindow);
  Status loaded = load_exactly(offset, length);
  if (loaded || loaded.error().code() != ErrorCode::io_error) return loaded;
  // What cannot be read may be something that nobody asked for, or have been a matter of luck. From here on small
  // windows again, or each that reaches the bad place would fail as a whole.
  window_size_ = block_size_;
  return load_exactly(offset, size);
}

Status ChunkWalker::load_exactly(std::uint64_t offset, std::uint64_t length) {
  if (buffer_.size() < length) buffer_ = blockio::AlignedBuffer(length);
  window_length_ = 0;
  if (buffer_.size() < length) return fail(ErrorCode::out_of_memory);
  blockio::IoOp op = blockio::IoOp::read(area_first_ + offset, buffer_.span().first(length));
  if (Status read = io_.run(op); !read) return fail(std::move(read).error().with_context("reading the log"));
  window_start_ = offset;
  window_length_ = length;
  return {};
}

}  // namespace ashlar::store
