#include "fs/ctl/log_scrambler.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "fs/format/checksum.h"

namespace ashlar::ctl {
namespace {

// A malformed record is where the log of the image is to end, not an error of the dump.
Result<bool> until_malformed(Status status) {
  if (status) return true;
  if (status.error().code() == ErrorCode::corrupt_structure) return false;
  return fail(std::move(status).error());
}

template <typename Visit>
Status for_each_record(std::span<std::byte> chunk, Visit visit) {
  format::RecordCursor records(chunk);
  while (true) {
    const std::size_t at = records.offset();
    const std::span<const std::byte> record = TRY(records.next());
    if (record.empty()) return {};
    TRY(visit(chunk.subspan(at, record.size())));
  }
}

}  // namespace

Status LogScrambler::announce() {
  const auto remember = [this](std::span<std::byte> record) -> Status {
    format::LogOpCursor cursor(record);
    format::LogOpView op;
    while (TRY(cursor.next(op))) {
      if (op.op == format::LogOpKind::put || op.op == format::LogOpKind::erase) names_.remember(op.key);
    }
    return {};
  };
  bool going_on = true;
  const auto take = [&](const LogChunk& chunk) -> Status {
    if (going_on) going_on = TRY(until_malformed(for_each_record(chunk.bytes, remember)));
    return {};
  };
  TRY(visit_log_chunks(volume_, superblock_, take));
  return {};
}

Status LogScrambler::copy(const std::function<Status(std::uint64_t offset, std::span<const std::byte> chunk)>& write) {
  bool going_on = true;
  std::uint32_t previous_crc = superblock_.log_start_chain;
  const auto take = [&](const LogChunk& chunk) -> Status {
    going_on = going_on && TRY(until_malformed(scramble_chunk(chunk.bytes)));
    if (!going_on) return {};
    format::ChunkHeader header = chunk.header;
    header.previous_crc = previous_crc;
    std::memcpy(chunk.bytes.data(), &header, sizeof header);
    format::seal_chunk(chunk.bytes);
    std::memcpy(&header, chunk.bytes.data(), sizeof header);
    previous_crc = header.crc;
    return write(chunk.offset, chunk.bytes);
  };
  TRY(visit_log_chunks(volume_, superblock_, take));
  return {};
}

Status LogScrambler::scramble_chunk(std::span<std::byte> chunk) {
  return for_each_record(chunk, [this](std::span<std::byte> record) { return scramble_record(record); });
}

Status LogScrambler::scramble_record(std::span<std::byte> record) {
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  std::size_t at = sizeof(format::RecordHeader);
  while (TRY(cursor.next(op))) {
    auto& stored = *reinterpret_cast<format::LogOp*>(record.data() + at);
    at += sizeof(format::LogOp);
    if (op.op == format::LogOpKind::put) {
      // A sparse one is an inode's, in which nobody wrote anything.
      const bool sparse = format::LogOpKind{stored.op} == format::LogOpKind::sparse_put;
      stored.b = names_.scramble_value(op.key, record.subspan(at, sparse ? 0 : op.value.size())).offset;
    } else if (op.op == format::LogOpKind::erase) {
      stored.b = names_.moved(op.key).offset;
    } else if (op.op == format::LogOpKind::witness) {
      const auto begin = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(op.checksums.data()) -
                                                  static_cast<const std::byte*>(record.data()));
      replace_witnessed(op.run, record.subspan(begin, op.checksums.size_bytes()));
    }
    at += op.payload_size;
  }
  return {};
}

void LogScrambler::replace_witnessed(BlockRun run, std::span<std::byte> checksums) const {
  std::vector<std::byte> block(layout_.block_size());
  const format::le32 of_zeros{format::crc32c(block)};
  for (std::uint64_t i = 0; i < run.count; ++i) {
    const std::uint64_t at = run.first.value() + i;
    if (at >= layout_.block_count() || !volume_.read(layout_.byte_offset(BlockNumber{at}), block)) continue;
    format::le32 stored;
    std::memcpy(&stored, checksums.data() + i * sizeof stored, sizeof stored);
    if (stored != format::crc32c(block)) continue;
    std::memcpy(checksums.data() + i * sizeof stored, &of_zeros, sizeof of_zeros);
  }
}

}  // namespace ashlar::ctl
