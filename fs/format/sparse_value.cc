#include "fs/format/sparse_value.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "fs/format/head.h"

namespace ashlar::format {
namespace {

bool can_be_sparse(std::size_t size) noexcept { return size <= kMaxSparseValue && size % kSparseWord == 0; }

}  // namespace

std::uint64_t nonzero_words(std::span<const std::byte> value) noexcept {
  assert(can_be_sparse(value.size()));
  std::uint64_t mask = 0;
  for (std::size_t i = 0; i < value.size() / kSparseWord; ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, value.data() + i * kSparseWord, kSparseWord);
    mask |= std::uint64_t{word != 0} << i;
  }
  return mask;
}

std::size_t sparse_size(std::uint64_t mask) noexcept {
  return sizeof(le64) + static_cast<std::size_t>(std::popcount(mask)) * kSparseWord;
}

void compress(std::span<const std::byte> value, std::uint64_t mask, std::span<std::byte> to) noexcept {
  assert(to.size() == sparse_size(mask));
  const le64 stored{mask};
  std::memcpy(to.data(), &stored, sizeof stored);
  std::byte* at = to.data() + sizeof stored;
  for (std::uint64_t left = mask; left != 0; left &= left - 1, at += kSparseWord) {
    std::memcpy(at, value.data() + static_cast<std::size_t>(std::countr_zero(left)) * kSparseWord, kSparseWord);
  }
}

Result<std::size_t> expand(std::span<const std::byte> from, std::span<std::byte> value) {
  if (!can_be_sparse(value.size())) return fail(ErrorCode::corrupt_structure, "sparse value of an impossible size");
  if (from.size() < sizeof(le64)) return fail(ErrorCode::corrupt_structure, "sparse value cut off");
  const std::uint64_t mask = head_of<le64>(from);
  if (mask != 0 && static_cast<std::size_t>(std::bit_width(mask)) > value.size() / kSparseWord) {
    return fail(ErrorCode::corrupt_structure, "sparse value with words past its end");
  }
  const std::size_t size = sparse_size(mask);
  if (size > from.size()) return fail(ErrorCode::corrupt_structure, "sparse value cut off");
  std::fill(value.begin(), value.end(), std::byte{0});
  const std::byte* at = from.data() + sizeof(le64);
  for (std::uint64_t left = mask; left != 0; left &= left - 1, at += kSparseWord) {
    std::memcpy(value.data() + static_cast<std::size_t>(std::countr_zero(left)) * kSparseWord, at, kSparseWord);
  }
  return size;
}

}  // namespace ashlar::format
