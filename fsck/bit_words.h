// Runs of bits in bitmaps (bit i is bit i % 8 of byte i / 8), 64 at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "fs/format/endian.h"

namespace ashlar::fsck {

inline constexpr std::uint64_t kWordBits = 64;

// Of a bitmap whose length is a multiple of 8 bytes. Bit i of word w is bit w * 64 + i of the bitmap.
[[nodiscard]] inline std::uint64_t load_word(std::span<const std::byte> bitmap, std::uint64_t word) noexcept {
  format::le64 value;
  std::memcpy(&value, &bitmap[word * sizeof value], sizeof value);
  return value;
}
inline void store_word(std::span<std::byte> bitmap, std::uint64_t word, std::uint64_t bits) noexcept {
  format::le64 value{};
  value = bits;
  std::memcpy(&bitmap[word * sizeof value], &value, sizeof value);
}

// Calls `take(word, mask)` for the words that the bits from `first` to before `end` lie in, in order.
template <typename Take>
void for_each_word(std::uint64_t first, std::uint64_t end, const Take& take) {
  while (first < end) {
    const std::uint64_t shift = first % kWordBits;
    const std::uint64_t count = std::min(kWordBits - shift, end - first);
    const std::uint64_t mask = (count == kWordBits ? ~0ULL : (1ULL << count) - 1) << shift;
    take(first / kWordBits, mask);
    first += count;
  }
}

// The number of the lowest bit set in `bits`, which is not 0, of word `word`.
[[nodiscard]] inline std::uint64_t lowest_bit(std::uint64_t word, std::uint64_t bits) noexcept {
  return word * kWordBits + static_cast<unsigned>(std::countr_zero(bits));
}

}  // namespace ashlar::fsck
