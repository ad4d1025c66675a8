// The log: a circular area of chunks. A chunk is what one device write makes durable: records of committed
// transactions, in order. An LSN is a byte position in the endless log; it lies at byte (LSN % area size) of the area.
//
// A chunk starts at a multiple of the block size and does not wrap: one that would not fit before the end of the area
// begins at the area's start instead (its LSN is then the next multiple of the area's size).
#pragma once

#include <array>
#include <span>

#include "fs/base/result.h"
#include "fs/format/key.h"
#include "fs/format/sparse_value.h"
#include "fs/format/superblock.h"

namespace ashlar::format {

inline constexpr std::uint32_t kChunkMagic = 0x4c6c'6841;  // "AhlL"
inline constexpr std::size_t kMaxChunkSize = 1U << 20;     // bytes, header included

struct ChunkHeader {
  le32 magic;
  le32 crc;  // of `length` bytes, itself taken as zero
  std::uint8_t uuid[16];
  le64 epoch;
  le64 lsn;     // of this chunk
  le32 length;  // header and records; the rest of the last block is zero
  le32 record_count;
  le32 previous_crc;  // of the chunk before, 0 for the first of an epoch
  le32 reserved;
  le64 durable;  // LSN: every record before it was on the medium, with its data, before this chunk was written
};
static_assert(sizeof(ChunkHeader) == 64 && std::is_trivially_copyable_v<ChunkHeader>);

// One transaction. Its LSN is the chunk's plus its offset in the chunk.
struct RecordHeader {
  le32 length;  // header and operations, a multiple of 4
  le16 op_count;
  le16 reserved;
};
static_assert(sizeof(RecordHeader) == 8);

enum class LogOpKind : std::uint8_t {
  put = 1,       // key, value of `size` bytes follows
  erase = 2,     // key
  allocate = 3,  // a = first block, b = count
  free = 4,      // a = first block, b = count
  // The `size` blocks from a hold data whose le32 checksums lie in this record at byte b (from its header): in the
  // value of a put as a rule, else right behind this operation, whose payload they then are.
  witness = 5,
  counter = 6,  // counter `key_kind` is at least a
  // An inode's put of `size` bytes of value, of which the words that are not zero follow; see sparse_value.h.
  sparse_put = 7,
};

enum class Counter : std::uint8_t { next_inode = 1 };

struct LogOp {
  std::uint8_t op;        // LogOpKind
  std::uint8_t key_kind;  // ItemKind of put and erase; Counter
  le16 size;
  le64 a;  // key: inode
  le64 b;  // key: offset
  // put: the value follows, padded with zeros to a multiple of 4
};
static_assert(sizeof(LogOp) == 20);

void seal_chunk(std::span<std::byte> chunk) noexcept;

// Header, checksum, uuid, epoch and LSN of the chunk at the start of `bytes` (which may be longer). not_found when
// there is no chunk of this log here, bad_checksum when there is one and it is damaged or torn.
[[nodiscard]] Result<ChunkHeader> validate_chunk(std::span<const std::byte> bytes, const std::uint8_t (&uuid)[16],
                                                 std::uint64_t epoch, Lsn lsn, std::uint32_t previous_crc);

// A decoded operation, a sparse put as the put that it stands for.
struct LogOpView {
  LogOpKind op = LogOpKind::put;
  Key key;                           // put, erase
  std::span<const std::byte> value;  // put; views the record or, of a sparse one, the cursor until it moves on
  std::size_t payload_size = 0;      // bytes of the record behind the LogOp
  BlockRun run;                      // allocate, free, witness
  std::span<const le32> checksums;   // witness; views the record
  Counter counter{};
  std::uint64_t counter_value = 0;
};

// Walks the records of a validated chunk and the operations of a record, checking every length. A malformed one ends
// the walk with corrupt_structure.
class RecordCursor {
 public:
  explicit RecordCursor(std::span<const std::byte> chunk) noexcept;  // chunk: header.length bytes
  // The next record whole (header included), an empty span at the end.
  [[nodiscard]] Result<std::span<const std::byte>> next();
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }  // of the record that next() returns next

 private:
  std::span<const std::byte> chunk_;
  std::size_t offset_;
  std::uint32_t left_;
};
class LogOpCursor {
 public:
  explicit LogOpCursor(std::span<const std::byte> record) noexcept;
  [[nodiscard]] Result<bool> next(LogOpView& op);  // false at the end

 private:
  [[nodiscard]] Status read_put(const LogOp& op, std::span<const std::byte> rest, LogOpView& view);
  [[nodiscard]] Status read_witness(const LogOp& op, LogOpView& view) const;

  std::span<const std::byte> record_;
  std::size_t offset_;
  std::uint32_t left_;
  std::array<std::byte, kMaxSparseValue> expanded_;  // what a sparse put's view views; set before it is read
};

}  // namespace ashlar::format
