#include "fs/store/log/log_reader/witness_checker.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fs/base/seeded_bug.h"
#include "fs/format/checksum.h"

namespace ashlar::store {
namespace {

// Data is read in pieces of at most this, so many at a time.
constexpr std::size_t kReadBytes = 256U << 10;
constexpr std::size_t kReads = 16;
// A device takes long over each block that it cannot read: after so many, what fails is not looked at more closely.
constexpr int kMostUnreadableBlocks = 64;

}  // namespace

WitnessChecker::WitnessChecker(blockio::IoQueue& io, const format::Layout& layout)
    : io_(io),
      block_size_(layout.block_size()),
      block_count_(layout.block_count()),
      blocks_per_read_(std::max<std::size_t>(kReadBytes / layout.block_size(), 1)) {}

Result<WitnessVerdict> WitnessChecker::judge(const Chunk& chunk, Lsn trusted) {
  pieces_.clear();
  format::RecordCursor records(chunk.bytes);
  std::uint64_t index = 0;
  for (;; ++index) {
    const Lsn lsn = chunk.start + records.offset();
    const std::span<const std::byte> record = TRY(records.next());
    if (record.empty()) break;
    if (lsn >= trusted) TRY(collect(record, index));
  }
  WitnessVerdict verdict{index, index, {}};
  if (!pieces_.empty()) TRY(judge_pieces(verdict));
  return verdict;
}

Status WitnessChecker::collect(std::span<const std::byte> record, std::uint64_t index) {
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

Status WitnessChecker::judge_pieces(WitnessVerdict& verdict) {
  // As much as these pieces need: most logs end with few and small ones.
  std::size_t longest = 0;
  for (const Piece& piece : pieces_) longest = std::max(longest, piece.checksums.size());
  const std::size_t stride = longest * block_size_;
  const std::size_t needed = std::min(kReads, pieces_.size()) * stride;
  if (buffer_.size() < needed) buffer_ = blockio::AlignedBuffer(needed);
  if (buffer_.size() < needed) return fail(ErrorCode::out_of_memory);
  const std::uint64_t none = verdict.missing;
  for (std::size_t done = 0; done < pieces_.size(); done += kReads) {
    const std::span<const Piece> batch =
        std::span<const Piece>(pieces_).subspan(done, std::min(kReads, pieces_.size() - done));
    const bool all_read = TRY(read(batch, stride));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::span<std::byte> data = buffer_.span().subspan(i * stride, stride);
      Finding finding = Finding::arrived;
      if (!all_read) {
        finding = TRY(examine(batch[i], data));
      } else if (!matches(batch[i], data)) {
        finding = Finding::missing;
      }
      const std::uint64_t record = batch[i].record;
      if (finding == Finding::missing) {
        verdict.missing = record;
        verdict.unreadable = std::min(verdict.unreadable, record);
        return {};
      }
      if (finding == Finding::unreadable && verdict.unreadable == none) {
        verdict.unreadable = record;
        verdict.fault = std::move(fault_);
      }
    }
  }
  return {};
}

Result<bool> WitnessChecker::read(std::span<const Piece> batch, std::size_t stride) {
  std::array<blockio::IoOp, kReads> ops;
  std::array<blockio::IoOp*, kReads> pointers{};
  for (std::size_t i = 0; i < batch.size(); ++i) {
    ops[i] = blockio::IoOp::read(batch[i].first.value() * block_size_,
                                 buffer_.span().subspan(i * stride, batch[i].checksums.size() * block_size_));
    pointers[i] = &ops[i];
  }
  Status status = io_.run(std::span(pointers).first(batch.size()));
  if (status) return true;
  if (status.error().code() == ErrorCode::io_error) return false;
  return fail(std::move(status).error().with_context("reading data named by the end of the log"));
}

bool WitnessChecker::matches(const Piece& piece, std::span<const std::byte> data) const {
  if (has_bug(SeededBug::data_checksum_unchecked)) return true;
  for (std::size_t i = 0; i < piece.checksums.size(); ++i) {
    if (format::crc32c(data.subspan(i * block_size_, block_size_)) != piece.checksums[i]) return false;
  }
  return true;
}

Result<WitnessChecker::Finding> WitnessChecker::examine(const Piece& piece, std::span<std::byte> buffer) {
  Finding finding = Finding::arrived;
  const std::size_t count = piece.checksums.size();
  const std::size_t step = unreadable_blocks_ < kMostUnreadableBlocks ? 1 : count;
  for (std::size_t i = 0; i < count; i += step) {
    const Piece part{piece.first + i, piece.checksums.subspan(i, step), piece.record};
    const std::span<std::byte> bytes = buffer.first(step * block_size_);
    blockio::IoOp op = blockio::IoOp::read(part.first.value() * block_size_, bytes);
    if (Status status = io_.run(op); !status) {
      if (status.error().code() != ErrorCode::io_error) return fail(std::move(status).error());
      fault_ = fmt::format("block {}: {}", part.first.value(), status.error().message());
      ++unreadable_blocks_;
      finding = Finding::unreadable;
    } else if (!matches(part, bytes)) {
      return Finding::missing;
    }
  }
  return finding;
}

}  // namespace ashlar::store
