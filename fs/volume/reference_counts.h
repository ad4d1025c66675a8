// How often somebody refers to things that have a number: a few bytes each, where numbers lie close together.
#pragma once

#include <tsl/robin_map.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace ashlar::volume {

// Not thread-safe. Counts of numbers next to each other share a page of one byte each; those that a byte does not hold
// are kept apart. Numbers that are alone cost a page. Room is kept for the next when counts go.
class ReferenceCounts {
 public:
  ReferenceCounts();

  // `count` is not 0, and `number` has none yet.
  void add(std::uint64_t number, std::uint64_t count);
  // Forgets the count and returns it; 0: there is none.
  std::uint64_t take(std::uint64_t number);
  // Takes `count` off, or all there is.
  void drop(std::uint64_t number, std::uint64_t count);
  void clear();

  // What the counts take.
  [[nodiscard]] std::size_t bytes() const noexcept;

 private:
  static constexpr std::size_t kPageNumbers = 32;
  static constexpr std::uint8_t kLarge = 0xFF;  // the count is in large_
  using Page = std::array<std::uint8_t, kPageNumbers>;

  tsl::robin_map<std::uint64_t, Page> pages_;           // by number / kPageNumbers; never all zero
  tsl::robin_map<std::uint64_t, std::uint64_t> large_;  // kLarge and more, by number
};

}  // namespace ashlar::volume
