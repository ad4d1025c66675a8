#include "fs/format/host_claim.h"

#include <algorithm>
#include <cstring>

#include "fs/format/checksum.h"
#include "fs/format/head.h"

namespace ashlar::format {
namespace {

constexpr std::size_t kClaimCrcOffset = offsetof(HostClaim, crc);

}  // namespace

void seal(HostClaim& claim) noexcept {
  claim.crc = crc32c_except(std::as_bytes(std::span(&claim, 1)), kClaimCrcOffset);
}

Result<std::optional<HostClaim>> parse_host_claim(std::span<const std::byte> block, const std::uint8_t (&uuid)[16]) {
  if (block.size() != kHostClaimSize) return fail(ErrorCode::invalid_argument);
  if (std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; })) {
    return std::optional<HostClaim>();
  }
  const auto claim = head_of<HostClaim>(block);
  if (claim.magic != kHostClaimMagic || claim.crc != crc32c_except(block, kClaimCrcOffset) ||
      std::memcmp(claim.uuid, uuid, sizeof uuid) != 0) {
    return fail(ErrorCode::bad_checksum, "damaged claim of a host");
  }
  return std::optional<HostClaim>(claim);
}

std::uint32_t claim_interval(const HostClaim& claim) noexcept {
  return std::clamp(claim.interval.value(), kMinClaimInterval, kMaxClaimInterval);
}

std::string host_text(const HostClaim& claim) {
  std::string text(claim.host, strnlen(claim.host, sizeof claim.host));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return text.empty() ? "an unnamed host" : text;
}

}  // namespace ashlar::format
