// Little-endian integers of the on-disk format: byte arrays, so structures made of them have alignment 1 and no
// padding.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace ashlar::format {

template <std::unsigned_integral T>
class LittleEndian {
 public:
  constexpr LittleEndian() noexcept = default;
  LittleEndian(T value) noexcept {
    *this = value;
  }  // NOLINT(google-explicit-constructor): a field is assigned its value

  LittleEndian& operator=(T value) noexcept {
    if constexpr (std::endian::native == std::endian::big) value = reversed(value);
    std::memcpy(bytes_, &value, sizeof value);
    return *this;
  }

  [[nodiscard]] T value() const noexcept {
    T value;
    std::memcpy(&value, bytes_, sizeof value);
    if constexpr (std::endian::native == std::endian::big) value = reversed(value);
    return value;
  }
  operator T() const noexcept { return value(); }  // NOLINT(google-explicit-constructor)

 private:
  static T reversed(T value) noexcept {
    T result = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i, value = static_cast<T>(value >> 8)) {
      result = static_cast<T>((result << 8) | (value & 0xff));
    }
    return result;
  }

  unsigned char bytes_[sizeof(T)] = {};
};

using le16 = LittleEndian<std::uint16_t>;
using le32 = LittleEndian<std::uint32_t>;
using le64 = LittleEndian<std::uint64_t>;

}  // namespace ashlar::format
