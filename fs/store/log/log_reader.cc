#include "fs/store/log/log_reader.h"

#include <fmt/core.h>

#include <optional>
#include <utility>

#include "fs/store/log/log_reader/chunk_walker.h"
#include "fs/store/log/log_reader/witness_checker.h"

namespace ashlar::store {
namespace {

[[nodiscard]] Status check_start(const format::Superblock& superblock, const format::Layout& layout) {
  const std::uint64_t area_bytes = layout.log().count * layout.block_size();
  const std::uint64_t start = superblock.log_start;
  if (area_bytes == 0 || layout.block_size() < sizeof(format::ChunkHeader) || start % layout.block_size() != 0 ||
      start > ~0ULL - 2 * area_bytes) {
    return fail(ErrorCode::corrupt_structure, fmt::format("log cannot begin at {}", start));
  }
  return {};
}

constexpr const char* kReadsDifferently = "the log reads differently the second time";

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

// Whether the device has all data that the log names from its chunk `index` on, as far as it can be read: as it is when
// the log's end was durable, and hardly ever when a power cut came before.
[[nodiscard]] Result<bool> is_rest_there(ChunkWalker walker, WitnessChecker& witnesses, const Extent& extent,
                                         std::uint64_t index) {
  for (std::uint64_t i = 0; i < extent.chunks; ++i) {
    const std::optional<Chunk> chunk = TRY(walker.next());
    if (!chunk) return fail(ErrorCode::io_error, kReadsDifferently);
    if (i < index) continue;
    const WitnessVerdict verdict = TRY(witnesses.judge(*chunk, extent.durable));
    if (verdict.missing != chunk->header.record_count) return false;
  }
  return true;
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
    if (!chunk) return fail(ErrorCode::io_error, kReadsDifferently);
    std::uint64_t believed = 0;
    if (end.distrusted == 0) {
      WitnessVerdict verdict = TRY(witnesses.judge(*chunk, extent.durable));
      believed = verdict.missing;
      // Looked into once: when the rest is there, so are the records behind.
      if (verdict.unreadable < believed && end.unreadable_data.empty()) {
        const bool is_some_missing = believed != chunk->header.record_count;
        end.ends_at_unreadable_data =
            is_some_missing || !TRY(is_rest_there(ChunkWalker(io, superblock, layout), witnesses, extent, i + 1));
        end.unreadable_data = std::move(verdict.fault);
      }
      if (end.ends_at_unreadable_data) believed = verdict.unreadable;
      TRY(visit_records(*chunk, believed, visit));
    }
    end.records += believed;
    end.distrusted += chunk->header.record_count - believed;
  }
  return end;
}

}  // namespace ashlar::store
