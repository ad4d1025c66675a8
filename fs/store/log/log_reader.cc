#include "fs/store/log/log_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fs/base/seeded_bug.h"
#include "fs/format/checksum.h"
#include "fs/store/log/log_reader/chunk_walker.h"

namespace ashlar::store {
namespace {

// Data that witnesses speak of is read in pieces of at most this, so many at a time.
constexpr std::size_t kWitnessReadBytes = 256U << 10;
constexpr std::size_t kWitnessReads = 16;

// Compares data on the device with the checksums that the records of a chunk bear witness to.
class WitnessChecker {
 public:
  WitnessChecker(blockio::IoQueue& io, const format::Layout& layout)
      : io_(io),
        block_size_(layout.block_size()),
        block_count_(layout.block_count()),
        blocks_per_read_(std::max<std::size_t>(kWitnessReadBytes / layout.block_size(), 1)) {}

  // How many of the chunk's records, from its first, are true. `trusted`: records before this LSN are true without
  // looking.
  [[nodiscard]] Result<std::uint64_t> count_true(const Chunk& chunk, Lsn trusted) {
    pieces_.clear();
    format::RecordCursor records(chunk.bytes);
    std::uint64_t index = 0;
    for (;; ++index) {
      const Lsn lsn = chunk.start + records.offset();
      const std::span<const std::byte> record = TRY(records.next());
      if (record.empty()) break;
      if (lsn >= trusted) TRY(collect(record, index));
    }
    return first_false(index);
  }

 private:
  struct Piece {
    BlockNumber first;
    std::span<const format::le32> checksums;
    std::uint64_t record;  // index in the chunk
  };

  [[nodiscard]] Status collect(std::span<const std::byte> record, std::uint64_t index) {
    format::LogOpCursor cursor(record);
    format::LogOpView op;
    while (TRY(cursor.next(op))) {
      if (op.op != format::LogOpKind::witness) continue;
      if (op.run.first.value() >= block_count_ || op.run.count > block_count_ - op.run.first.value()) {
        return fail(ErrorCode::corrupt_structure, "log record about data past the end of the volume");
      }
      for (std::size_t done = 0; done < op.checksums.size(); done += blocks_per_read_) {
        const std::size_t count = std::min(blocks_per_read_, op.checksums.size() - done);
        pieces_.push_back({op.run.first + done, op.checksums.subspan(done, count), index});
      }
    }
    return {};
  }

  // The lowest record of a piece that is not what it should be, else `none`.
  [[nodiscard]] Result<std::uint64_t> first_false(std::uint64_t none) {
    if (pieces_.empty()) return none;
    // As much as these pieces need: most logs end with few and small ones.
    std::size_t longest = 0;
    for (const Piece& piece : pieces_) longest = std::max(longest, piece.checksums.size());
    const std::size_t stride = longest * block_size_;
    const std::size_t needed = std::min(kWitnessReads, pieces_.size()) * stride;
    if (buffer_.size() < needed) buffer_ = blockio::AlignedBuffer(needed);
    if (buffer_.size() < needed) return fail(ErrorCode::out_of_memory);
    for (std::size_t done = 0; done < pieces_.size(); done += kWitnessReads) {
      const std::span<const Piece> batch =
          std::span<const Piece>(pieces_).subspan(done, std::min(kWitnessReads, pieces_.size() - done));
      TRY(read(batch, stride));
      for (std::size_t i = 0; i < batch.size(); ++i) {
        if (!matches(batch[i], buffer_.span().subspan(i * stride, stride))) return batch[i].record;
      }
    }
    return none;
  }

  [[nodiscard]] Status read(std::span<const Piece> batch, std::size_t stride) {
    std::array<blockio::IoOp, kWitnessReads> ops;
    std::array<blockio::IoOp*, kWitnessReads> pointers{};
    for (std::size_t i = 0; i < batch.size(); ++i) {
      ops[i] = blockio::IoOp::read(batch[i].first.value() * block_size_,
                                   buffer_.span().subspan(i * stride, batch[i].checksums.size() * block_size_));
      pointers[i] = &ops[i];
    }
    Status status = io_.run(std::span(pointers).first(batch.size()));
    if (!status) return fail(std::move(status).error().with_context("reading data named by the end of the log"));
    return {};
  }

  [[nodiscard]] bool matches(const Piece& piece, std::span<const std::byte> data) const {
    if (has_bug(SeededBug::data_checksum_unchecked)) return true;
    for (std::size_t i = 0; i < piece.checksums.size(); ++i) {
      if (format::crc32c(data.subspan(i * block_size_, block_size_)) != piece.checksums[i]) return false;
    }
    return true;
  }

  blockio::IoQueue& io_;
  const std::size_t block_size_;
  const std::uint64_t block_count_;
  const std::size_t blocks_per_read_;
  blockio::AlignedBuffer buffer_;
  std::vector<Piece> pieces_;  // of one chunk, in record order
};

[[nodiscard]] Status check_start(const format::Superblock& superblock, const format::Layout& layout) {
  const std::uint64_t area_bytes = layout.log().count * layout.block_size();
  const std::uint64_t start = superblock.log_start;
  if (area_bytes == 0 || layout.block_size() < sizeof(format::ChunkHeader) || start % layout.block_size() != 0 ||
      start > ~0ULL - 2 * area_bytes) {
    return fail(ErrorCode::corrupt_structure, fmt::format("log cannot begin at {}", start));
  }
  return {};
}

// What the first pass over the log finds out.
struct Extent {
  Lsn end;
  std::uint32_t chain = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
  Lsn durable;  // as the last chunk says
  std::optional<Lsn> lost_upto;
  Status fault;
};

// `is_clean`: nothing was written to the log since the superblock was.
[[nodiscard]] Result<Extent> find_extent(ChunkWalker walker, bool is_clean) {
  Extent extent;
  while (const std::optional<Chunk> chunk = TRY(walker.next())) {
    ++extent.chunks;
    extent.bytes += chunk->bytes.size();
    extent.durable = Lsn{chunk->header.durable};
  }
  extent.end = walker.position();
  extent.chain = walker.chain();
  if (is_clean && extent.chunks == 0) return extent;
  extent.lost_upto = TRY(walker.find_proof_of_loss());
  extent.fault = walker.take_fault();
  return extent;
}

// Visits the first `count` records of the chunk.
[[nodiscard]] Status visit_records(const Chunk& chunk, std::uint64_t count,
                                   const std::function<Status(Lsn, std::span<const std::byte>)>& visit) {
  format::RecordCursor records(chunk.bytes);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Lsn lsn = chunk.start + records.offset();
    const std::span<const std::byte> record = TRY(records.next());
    TRY(visit(lsn, record));
  }
  return {};
}

}  // namespace

Result<LogEnd> read_log(blockio::IoQueue& io, const format::Superblock& superblock,
                        const std::function<Status(Lsn, std::span<const std::byte> record)>& visit) {
  const format::Layout layout = format::Layout::of(superblock);
  TRY(check_start(superblock, layout));
  // Twice over the log: which records must prove themselves is known only at its end.
  const bool is_clean = (superblock.flags & format::kCleanlyUnmounted) != 0;
  const Extent extent = TRY(find_extent(ChunkWalker(io, superblock, layout), is_clean));

  LogEnd end;
  end.next = extent.end;
  end.chain = extent.chain;
  end.bytes = extent.bytes;
  end.lost_upto = extent.lost_upto;
  if (!extent.fault) end.unreadable = extent.fault.error().message();
  ChunkWalker walker(io, superblock, layout);
  WitnessChecker witnesses(io, layout);
  for (std::uint64_t i = 0; i < extent.chunks; ++i) {
    const std::optional<Chunk> chunk = TRY(walker.next());
    if (!chunk) return fail(ErrorCode::io_error, "the log reads differently the second time");
    const std::uint64_t total = chunk->header.record_count;
    std::uint64_t believed = 0;
    if (end.distrusted == 0) {
      believed = TRY(witnesses.count_true(*chunk, extent.durable));
      TRY(visit_records(*chunk, believed, visit));
    }
    end.records += believed;
    end.distrusted += total - believed;
  }
  return end;
}

}  // namespace ashlar::store
