// Integers that cannot be mixed up: a block number is not a byte offset is not an inode number.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace ashlar {

// Same-tag values can be compared, and moved by or subtracted to a plain count of the representation.
template <typename Tag, typename Rep = std::uint64_t>
class StrongInt {
 public:
  using rep = Rep;

  constexpr StrongInt() noexcept = default;
  constexpr explicit StrongInt(Rep value) noexcept : value_(value) {}

  [[nodiscard]] constexpr Rep value() const noexcept { return value_; }

  friend constexpr auto operator<=>(StrongInt, StrongInt) noexcept = default;

  friend constexpr StrongInt operator+(StrongInt a, Rep count) noexcept { return StrongInt(a.value_ + count); }
  friend constexpr StrongInt operator-(StrongInt a, Rep count) noexcept { return StrongInt(a.value_ - count); }
  friend constexpr Rep operator-(StrongInt a, StrongInt b) noexcept { return a.value_ - b.value_; }
  constexpr StrongInt& operator+=(Rep count) noexcept { return value_ += count, *this; }
  constexpr StrongInt& operator++() noexcept { return ++value_, *this; }

 private:
  Rep value_ = 0;
};

}  // namespace ashlar

template <typename Tag, typename Rep>
struct std::hash<ashlar::StrongInt<Tag, Rep>> {
  std::size_t operator()(ashlar::StrongInt<Tag, Rep> v) const noexcept { return std::hash<Rep>{}(v.value()); }
};
