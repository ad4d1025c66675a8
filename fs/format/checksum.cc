#include "fs/format/checksum.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace ashlar::format {

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t seed) noexcept {
  constexpr std::size_t kPiece = 1U << 30;  // the library counts in int
  // The library neither inverts at the beginning nor at the end.
  std::uint32_t state = ~seed;
  while (!data.empty()) {
    const auto piece = data.first(std::min(data.size(), kPiece));
    // It takes a pointer to non-const, and only reads.
    auto* bytes = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(piece.data()));
    state = crc32_iscsi(bytes, static_cast<int>(piece.size()), state);
    data = data.subspan(piece.size());
  }
  return ~state;
}

std::uint32_t crc32c_except(std::span<const std::byte> data, std::size_t hole) noexcept {
  constexpr std::byte kZeros[4]{};
  const std::size_t before = std::min(hole, data.size());
  const std::size_t covered = std::min(sizeof kZeros, data.size() - before);
  std::uint32_t crc = crc32c(data.first(before));
  crc = crc32c(std::span(kZeros).first(covered), crc);
  return crc32c(data.subspan(before + covered), crc);
}

}  // namespace ashlar::format
