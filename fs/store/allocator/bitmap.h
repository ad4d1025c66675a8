// The bits of one group of blocks, in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ashlar::store {

// Not thread-safe. Ranges must lie inside; an empty range is fine.
class Bitmap {
 public:
  struct Run {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };

  // Of a bitmap block: bit i is bit i % 8 of byte i / 8; a multiple of 8 bytes.
  explicit Bitmap(std::span<const std::byte> block);
  void store(std::span<std::byte> block) const;

  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(words_.size() * kWordBits); }

  void set(std::uint32_t first, std::uint32_t count);
  void clear(std::uint32_t first, std::uint32_t count);
  [[nodiscard]] bool all_set(std::uint32_t first, std::uint32_t count) const;
  [[nodiscard]] bool none_set(std::uint32_t first, std::uint32_t count) const;
  [[nodiscard]] std::uint32_t count_set(std::uint32_t first, std::uint32_t count) const;
  [[nodiscard]] std::uint32_t count_clear() const { return size() - count_set(0, size()); }

  // How many bits from `first` on are clear, at most `limit`.
  [[nodiscard]] std::uint32_t clear_length(std::uint32_t first, std::uint32_t limit) const;
  // The first run of at least `wanted` clear bits that begins at `from` or later; if there is none the longest there is
  // (count 0: none).
  [[nodiscard]] Run find_clear(std::uint32_t from, std::uint32_t wanted) const;

 private:
  static constexpr std::uint32_t kWordBits = 64;

  [[nodiscard]] std::uint32_t next_clear(std::uint32_t from, std::uint32_t end) const;
  [[nodiscard]] std::uint32_t next_set(std::uint32_t from, std::uint32_t end) const;

  std::vector<std::uint64_t> words_;
};

}  // namespace ashlar::store
