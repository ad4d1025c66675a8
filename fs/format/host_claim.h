// Which host has the volume mounted for writing, on volumes that several can reach (kHostClaims): a block in the first
// head that its holder rewrites again and again. All zero: nobody.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "fs/base/result.h"
#include "fs/format/endian.h"

namespace ashlar::format {

inline constexpr std::uint32_t kHostClaimMagic = 0x436c'6841;  // "AhlC"
inline constexpr std::uint64_t kHostClaimOffset = 16384;       // bytes from the volume's start
inline constexpr std::size_t kHostClaimSize = 4096;
inline constexpr std::size_t kHostNameSize = 64;
// Of HostClaim::interval, whatever the device says.
inline constexpr std::uint32_t kMinClaimInterval = 1;       // milliseconds
inline constexpr std::uint32_t kMaxClaimInterval = 10'000;  // likewise

struct HostClaim {
  le32 magic;
  le32 crc;  // of all kHostClaimSize bytes, itself taken as zero
  std::uint8_t uuid[16];
  le64 sequence;             // another one with every write; its first is random
  le64 time;                 // seconds since 1970, of this write: for people
  le32 interval;             // milliseconds between two writes
  le32 reserved0;            // zero
  std::uint8_t boot_id[16];  // of the holder's system since it was started
  char host[kHostNameSize];  // for people: its name, padded with NUL
  std::uint8_t reserved[3968];
};
static_assert(sizeof(HostClaim) == kHostClaimSize && std::is_trivially_copyable_v<HostClaim>);

void seal(HostClaim& claim) noexcept;

// The claim in `block` (kHostClaimSize bytes); nothing when it is all zero. bad_checksum when it is damaged, or of
// another volume.
[[nodiscard]] Result<std::optional<HostClaim>> parse_host_claim(std::span<const std::byte> block,
                                                                const std::uint8_t (&uuid)[16]);

// Of a valid claim, within bounds.
[[nodiscard]] std::uint32_t claim_interval(const HostClaim& claim) noexcept;
// Printable.
[[nodiscard]] std::string host_text(const HostClaim& claim);

}  // namespace ashlar::format
