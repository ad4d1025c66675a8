// Encodes a transaction as the log record that it is: applying it, logging it and replaying it read the same bytes.
#pragma once

#include <absl/container/inlined_vector.h>
#include <cstddef>
#include <span>

#include "fs/base/types.h"
#include "fs/format/log.h"

namespace ashlar::store {

// Not thread-safe. Reuse one (clear()) to save allocations.
class RecordBuilder {
 public:
  RecordBuilder();

  // At most 65535 bytes of value, which may come in two parts. An inode's in one part is stored without its zeros.
  void put(const format::Key& key, std::span<const std::byte> value, std::span<const std::byte> rest = {});
  void erase(const format::Key& key);
  void allocate(BlockRun run);
  void free(BlockRun run);
  // The blocks of `run` hold data with these CRC32C, one a block. Recovery believes the record only if they do. Costs
  // least after the put of the extent item that holds the same checksums: the record then has them once.
  void witness(BlockRun run, std::span<const format::le32> checksums);
  void counter(format::Counter counter, std::uint64_t at_least);

  [[nodiscard]] bool empty() const noexcept { return op_count_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  // Seals the header; the bytes stay valid until the next change.
  [[nodiscard]] std::span<const std::byte> finish() noexcept;
  void clear();

 private:
  // Part of bytes_.
  struct Value {
    std::size_t offset;
    std::size_t size;
  };
  // Where the record already holds the longest beginning of a list of checksums.
  struct Match {
    std::size_t offset = 0;
    std::size_t count = 0;
  };

  void put_sparse(const format::Key& key, std::span<const std::byte> value);
  void append_op(const format::LogOp& op);
  void append_bytes(std::span<const std::byte> bytes);
  void append_witness(BlockNumber first, std::size_t count, std::size_t checksum_offset);
  [[nodiscard]] Match find(std::span<const format::le32> checksums) const;

  // Most records are no longer and put no more extents.
  static constexpr std::size_t kUsualBytes = 768;
  static constexpr std::size_t kUsualExtents = 4;

  absl::InlinedVector<std::byte, kUsualBytes> bytes_;
  absl::InlinedVector<Value, kUsualExtents> values_;  // of the extent items put
  std::uint32_t op_count_ = 0;
};

}  // namespace ashlar::store
