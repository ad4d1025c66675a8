// Who claims a volume, and how.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace ashlar::claim {

struct Identity {
  std::array<std::uint8_t, 16> boot_id{};
  std::string host;
};
// This system: its name, and what it has drawn when it was started.
[[nodiscard]] Identity this_host();

struct ClaimOptions {
  std::chrono::milliseconds interval{2000};  // between two rewrites, at most format::kMaxClaimInterval
  Identity identity = this_host();
};

}  // namespace ashlar::claim
