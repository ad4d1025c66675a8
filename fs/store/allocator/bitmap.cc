#include "fs/store/allocator/bitmap.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "fs/format/endian.h"

namespace ashlar::store {
namespace {

constexpr std::uint32_t kBits = 64;

// Bits [first, first + count) of a word; count is 1 to 64 - first.
constexpr std::uint64_t mask_of(std::uint32_t first, std::uint32_t count) {
  return (count == kBits ? ~0ULL : (1ULL << count) - 1) << first;
}

// Calls visit(word index, mask) for each word that [first, first + count) touches, until it returns false.
template <typename Visit>
bool for_each_word(std::uint32_t first, std::uint32_t count, Visit visit) {
  while (count > 0) {
    const std::uint32_t bit = first % kBits;
    const std::uint32_t here = std::min(count, kBits - bit);
    if (!visit(first / kBits, mask_of(bit, here))) return false;
    first += here;
    count -= here;
  }
  return true;
}

}  // namespace

Bitmap::Bitmap(std::span<const std::byte> block) : words_(block.size() / sizeof(format::le64)) {
  assert(block.size() % sizeof(format::le64) == 0);
  for (std::size_t i = 0; i < words_.size(); ++i) {
    format::le64 word;
    std::memcpy(&word, block.data() + i * sizeof word, sizeof word);
    words_[i] = word;
  }
}

void Bitmap::store(std::span<std::byte> block) const {
  assert(block.size() == words_.size() * sizeof(format::le64));
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const format::le64 word(words_[i]);
    std::memcpy(block.data() + i * sizeof word, &word, sizeof word);
  }
}

void Bitmap::set(std::uint32_t first, std::uint32_t count) {
  for_each_word(first, count, [this](std::size_t i, std::uint64_t mask) {
    words_[i] |= mask;
    return true;
  });
}

void Bitmap::clear(std::uint32_t first, std::uint32_t count) {
  for_each_word(first, count, [this](std::size_t i, std::uint64_t mask) {
    words_[i] &= ~mask;
    return true;
  });
}

bool Bitmap::all_set(std::uint32_t first, std::uint32_t count) const {
  return for_each_word(first, count, [this](std::size_t i, std::uint64_t mask) { return (words_[i] & mask) == mask; });
}

bool Bitmap::none_set(std::uint32_t first, std::uint32_t count) const {
  return for_each_word(first, count, [this](std::size_t i, std::uint64_t mask) { return (words_[i] & mask) == 0; });
}

std::uint32_t Bitmap::count_set(std::uint32_t first, std::uint32_t count) const {
  std::uint32_t total = 0;
  for_each_word(first, count, [&](std::size_t i, std::uint64_t mask) {
    total += static_cast<std::uint32_t>(std::popcount(words_[i] & mask));
    return true;
  });
  return total;
}

std::uint32_t Bitmap::next_set(std::uint32_t from, std::uint32_t end) const {
  if (from >= end) return end;
  std::uint32_t index = from / kBits;
  std::uint64_t word = words_[index] & (~0ULL << (from % kBits));
  while (word == 0) {
    if (++index * kBits >= end) return end;
    word = words_[index];
  }
  return std::min(end, index * kBits + static_cast<std::uint32_t>(std::countr_zero(word)));
}

std::uint32_t Bitmap::next_clear(std::uint32_t from, std::uint32_t end) const {
  if (from >= end) return end;
  std::uint32_t index = from / kBits;
  std::uint64_t word = ~words_[index] & (~0ULL << (from % kBits));
  while (word == 0) {
    if (++index * kBits >= end) return end;
    word = ~words_[index];
  }
  return std::min(end, index * kBits + static_cast<std::uint32_t>(std::countr_zero(word)));
}

std::uint32_t Bitmap::clear_length(std::uint32_t first, std::uint32_t limit) const {
  const std::uint32_t end = first + std::min(limit, size() - first);
  return next_set(first, end) - first;
}

Bitmap::Run Bitmap::find_clear(std::uint32_t from, std::uint32_t wanted) const {
  Run longest;
  const std::uint32_t end = size();
  for (std::uint32_t at = next_clear(from, end); at < end;) {
    const std::uint32_t stop = next_set(at, end);
    if (stop - at > longest.count) longest = Run{at, stop - at};
    if (longest.count >= wanted) break;
    at = next_clear(stop, end);
  }
  return longest;
}

}  // namespace ashlar::store
