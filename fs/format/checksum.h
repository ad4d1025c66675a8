// CRC32C (Castagnoli), the checksum of everything on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::format {

// Of `data`, continuing from `seed` (the result over the bytes before; 0 to begin): crc32c(b, crc32c(a)) == crc32c(ab).
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t seed = 0) noexcept;

// Of `data` as if the four bytes at `hole` were zero: for structures that carry their own checksum.
[[nodiscard]] std::uint32_t crc32c_except(std::span<const std::byte> data, std::size_t hole) noexcept;

}  // namespace ashlar::format
