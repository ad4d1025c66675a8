#include "fs/store/log/record_builder.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

#include "fs/format/items.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kMaxWitnessBlocks = std::numeric_limits<std::uint16_t>::max();

static_assert(sizeof(format::InodeItem) <= format::kMaxSparseValue);

// Of a put or erase of `key`.
format::LogOp operation(format::LogOpKind kind, const format::Key& key, std::size_t value_size) noexcept {
  format::LogOp op{};
  op.op = static_cast<std::uint8_t>(kind);
  op.key_kind = static_cast<std::uint8_t>(key.kind);
  op.size = static_cast<std::uint16_t>(value_size);
  op.a = key.inode.value();
  op.b = key.offset;
  return op;
}

}  // namespace

RecordBuilder::RecordBuilder() { clear(); }

void RecordBuilder::clear() {
  bytes_.clear();
  bytes_.resize(sizeof(format::RecordHeader));
  values_.clear();
  op_count_ = 0;
}

void RecordBuilder::append_bytes(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
}

void RecordBuilder::append_op(const format::LogOp& op) {
  static_assert(sizeof op % 4 == 0);
  const auto bytes = std::as_bytes(std::span(&op, 1));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  ++op_count_;
}

void RecordBuilder::put(const format::Key& key, std::span<const std::byte> value, std::span<const std::byte> rest) {
  const std::size_t size = value.size() + rest.size();
  if (key.kind == format::ItemKind::inode && size == sizeof(format::InodeItem) && rest.empty()) {
    put_sparse(key, value);
    return;
  }
  assert(size <= std::numeric_limits<std::uint16_t>::max());
  append_op(operation(format::LogOpKind::put, key, size));
  if (key.kind == format::ItemKind::extent) values_.push_back({bytes_.size(), size});
  bytes_.insert(bytes_.end(), value.begin(), value.end());
  append_bytes(rest);
}

void RecordBuilder::put_sparse(const format::Key& key, std::span<const std::byte> value) {
  const std::uint64_t mask = format::nonzero_words(value);
  append_op(operation(format::LogOpKind::sparse_put, key, value.size()));
  const std::size_t begin = bytes_.size();
  bytes_.resize(begin + format::sparse_size(mask));
  format::compress(value, mask, std::span(bytes_.data(), bytes_.size()).subspan(begin));
}

void RecordBuilder::erase(const format::Key& key) { append_op(operation(format::LogOpKind::erase, key, 0)); }

void RecordBuilder::allocate(BlockRun run) {
  format::LogOp op{};
  op.op = static_cast<std::uint8_t>(format::LogOpKind::allocate);
  op.a = run.first.value();
  op.b = run.count;
  append_op(op);
}

void RecordBuilder::free(BlockRun run) {
  format::LogOp op{};
  op.op = static_cast<std::uint8_t>(format::LogOpKind::free);
  op.a = run.first.value();
  op.b = run.count;
  append_op(op);
}

void RecordBuilder::counter(format::Counter counter, std::uint64_t at_least) {
  format::LogOp op{};
  op.op = static_cast<std::uint8_t>(format::LogOpKind::counter);
  op.key_kind = static_cast<std::uint8_t>(counter);
  op.a = at_least;
  append_op(op);
}

void RecordBuilder::append_witness(BlockNumber first, std::size_t count, std::size_t checksum_offset) {
  format::LogOp op{};
  op.op = static_cast<std::uint8_t>(format::LogOpKind::witness);
  op.size = static_cast<std::uint16_t>(count);
  op.a = first.value();
  op.b = checksum_offset;
  append_op(op);
}

RecordBuilder::Match RecordBuilder::find(std::span<const format::le32> checksums) const {
  constexpr std::size_t kStride = sizeof(format::le32);
  Match best;
  // The item put last is the likeliest.
  for (std::size_t i = values_.size(); i-- > 0;) {
    const Value& value = values_[i];
    for (std::size_t at = 0; at + kStride <= value.size; at += kStride) {
      const std::size_t limit = std::min(checksums.size(), (value.size - at) / kStride);
      if (limit <= best.count) break;
      const std::byte* candidate = bytes_.data() + value.offset + at;
      std::size_t count = 0;
      while (count < limit && std::memcmp(candidate + count * kStride, &checksums[count], kStride) == 0) ++count;
      if (count > best.count) best = Match{value.offset + at, count};
      if (best.count == checksums.size()) return best;
    }
  }
  return best;
}

void RecordBuilder::witness(BlockRun run, std::span<const format::le32> checksums) {
  assert(run.count == checksums.size());
  BlockNumber first = run.first;
  while (!checksums.empty()) {
    const auto wanted = checksums.first(std::min(checksums.size(), kMaxWitnessBlocks));
    const Match match = find(wanted);
    std::size_t count = match.count;
    if (count > 0) {
      append_witness(first, count, match.offset);
    } else {
      count = wanted.size();
      append_witness(first, count, bytes_.size() + sizeof(format::LogOp));
      append_bytes(std::as_bytes(wanted));
    }
    first += count;
    checksums = checksums.subspan(count);
  }
}

std::span<const std::byte> RecordBuilder::finish() noexcept {
  format::RecordHeader header{};
  header.length = static_cast<std::uint32_t>(bytes_.size());
  header.op_count = static_cast<std::uint16_t>(op_count_);
  std::memcpy(bytes_.data(), &header, sizeof header);
  return {bytes_.data(), bytes_.size()};
}

}  // namespace ashlar::store
