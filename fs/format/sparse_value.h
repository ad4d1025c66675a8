// Item values whose 4-byte words are zero for the most part, as the inode's is: a mask of the words that are not, and
// these words. How a log record holds them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/base/result.h"
#include "fs/format/endian.h"

namespace ashlar::format {

inline constexpr std::size_t kSparseWord = 4;  // bytes
inline constexpr std::size_t kMaxSparseValue = 64 * kSparseWord;

// Of a value of at most kMaxSparseValue bytes, a multiple of kSparseWord: bit i says that word i follows.
[[nodiscard]] std::uint64_t nonzero_words(std::span<const std::byte> value) noexcept;

// Bytes that the mask and its words take.
[[nodiscard]] std::size_t sparse_size(std::uint64_t mask) noexcept;

// Writes mask and words to `to` (sparse_size(mask) bytes).
void compress(std::span<const std::byte> value, std::uint64_t mask, std::span<std::byte> to) noexcept;

// The value at the start of `from`, which may be longer, into the whole of `value`; how many bytes of `from` it took.
// corrupt_structure when `from` is cut off or names words past the value, or the value's size cannot be.
[[nodiscard]] Result<std::size_t> expand(std::span<const std::byte> from, std::span<std::byte> value);

}  // namespace ashlar::format
