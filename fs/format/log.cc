#include "fs/format/log.h"

#include <algorithm>
#include <cstring>

#include "fs/format/checksum.h"
#include "fs/format/head.h"

namespace ashlar::format {
namespace {

constexpr std::size_t kChunkCrcOffset = offsetof(ChunkHeader, crc);

tl::unexpected<Error> corrupt_record(std::string_view what) {
  return fail(ErrorCode::corrupt_structure, std::string("log record: ").append(what));
}

constexpr std::size_t padded(std::size_t size) noexcept { return (size + 3) & ~std::size_t{3}; }

}  // namespace

void seal_chunk(std::span<std::byte> chunk) noexcept {
  auto& header = *reinterpret_cast<ChunkHeader*>(chunk.data());
  header.crc = crc32c_except(chunk.first(std::min<std::size_t>(header.length, chunk.size())), kChunkCrcOffset);
}

Result<ChunkHeader> validate_chunk(std::span<const std::byte> bytes, const std::uint8_t (&uuid)[16],
                                   std::uint64_t epoch, Lsn lsn, std::uint32_t previous_crc) {
  if (bytes.size() < sizeof(ChunkHeader)) return fail(ErrorCode::not_found);
  const auto header = head_of<ChunkHeader>(bytes);
  // Whatever else lies here, an older chunk as a rule, is no part of this log.
  if (header.magic != kChunkMagic || std::memcmp(header.uuid, uuid, sizeof uuid) != 0 || header.epoch != epoch ||
      header.lsn != lsn.value() || header.previous_crc != previous_crc) {
    return fail(ErrorCode::not_found);
  }
  if (header.length < sizeof header || header.length > kMaxChunkSize || header.length > bytes.size()) {
    return fail(ErrorCode::bad_checksum, "log chunk whose length is damaged");
  }
  if (header.crc != crc32c_except(bytes.first(header.length), kChunkCrcOffset)) {
    return fail(ErrorCode::bad_checksum, "log chunk checksum mismatch");
  }
  return header;
}

RecordCursor::RecordCursor(std::span<const std::byte> chunk) noexcept
    : chunk_(chunk), offset_(std::min(sizeof(ChunkHeader), chunk.size())), left_(0) {
  if (chunk.size() >= sizeof(ChunkHeader)) left_ = head_of<ChunkHeader>(chunk).record_count;
}

Result<std::span<const std::byte>> RecordCursor::next() {
  const auto rest = chunk_.subspan(offset_);
  if (left_ == 0) {
    if (!rest.empty()) return corrupt_record("bytes after the last one of the chunk");
    return rest;
  }
  if (rest.size() < sizeof(RecordHeader)) return corrupt_record("cut off");
  const std::size_t length = head_of<RecordHeader>(rest).length;
  if (length < sizeof(RecordHeader) || length % 4 != 0 || length > rest.size())
    return corrupt_record("length out of range");
  --left_;
  offset_ += length;
  return rest.first(length);
}

LogOpCursor::LogOpCursor(std::span<const std::byte> record) noexcept
    : record_(record), offset_(std::min(sizeof(RecordHeader), record.size())), left_(0) {
  if (record.size() >= sizeof(RecordHeader)) left_ = head_of<RecordHeader>(record).op_count;
}

Status LogOpCursor::read_put(const LogOp& op, std::span<const std::byte> rest, LogOpView& view) {
  view.op = LogOpKind::put;
  if (LogOpKind{op.op} == LogOpKind::put) {
    if (padded(op.size) > rest.size()) return corrupt_record("value cut off");
    view.value = rest.first(op.size);
    view.payload_size = padded(op.size);
    return {};
  }
  if (view.key.kind != ItemKind::inode) return corrupt_record("sparse value of an item that has none");
  if (op.size > expanded_.size()) return corrupt_record("sparse value too long");
  const auto value = std::span(expanded_).first(op.size);
  view.payload_size = TRY(expand(rest, value));
  view.value = value;
  return {};
}

Status LogOpCursor::read_witness(const LogOp& op, LogOpView& view) const {
  const std::size_t size = std::size_t{op.size} * sizeof(le32);
  if (op.size == 0 || op.a > ~0ULL - op.size) return corrupt_record("run of blocks out of range");
  if (op.b < sizeof(RecordHeader) || op.b > record_.size() || size > record_.size() - op.b) {
    return corrupt_record("checksums out of range");
  }
  view.run = BlockRun{BlockNumber{op.a}, op.size};
  // Right behind this operation they are its payload; anywhere else, another operation's.
  if (op.b == offset_ + sizeof op) view.payload_size = size;
  view.checksums = {reinterpret_cast<const le32*>(record_.data() + op.b.value()), op.size};
  return {};
}

Result<bool> LogOpCursor::next(LogOpView& view) {
  const auto rest = record_.subspan(offset_);
  if (left_ == 0) {
    if (!rest.empty()) return corrupt_record("bytes after the last operation");
    return false;
  }
  if (rest.size() < sizeof(LogOp)) return corrupt_record("operation cut off");
  const auto op = head_of<LogOp>(rest);

  view = LogOpView{};
  view.op = LogOpKind{op.op};
  switch (view.op) {
    case LogOpKind::put:
    case LogOpKind::sparse_put:
    case LogOpKind::erase:
      if (op.key_kind == 0 || op.key_kind >= kItemKindLimit) return corrupt_record("unknown kind of item");
      view.key = Key{InodeNumber{op.a}, ItemKind{op.key_kind}, op.b};
      if (view.op != LogOpKind::erase) TRY(read_put(op, rest.subspan(sizeof op), view));
      break;
    case LogOpKind::allocate:
    case LogOpKind::free:
      if (op.b == 0 || op.a > ~0ULL - op.b) return corrupt_record("run of blocks out of range");
      view.run = BlockRun{BlockNumber{op.a}, op.b};
      break;
    case LogOpKind::witness: TRY(read_witness(op, view)); break;
    case LogOpKind::counter:
      if (Counter{op.key_kind} != Counter::next_inode) return corrupt_record("unknown counter");
      if (op.a > kInodeNumberLimit) return corrupt_record("inode number out of range");
      view.counter = Counter{op.key_kind};
      view.counter_value = op.a;
      break;
    default: return corrupt_record("unknown operation");
  }
  --left_;
  offset_ += sizeof op + view.payload_size;
  return true;
}

}  // namespace ashlar::format
