// How a queue is set up, and what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ashlar::blockio {

enum class EngineChoice : std::uint8_t { automatic, io_uring, aio };

struct QueueConfig {
  EngineChoice engine = EngineChoice::automatic;
  std::uint32_t depth = 64;  // operations in flight at most; 1 to kMaxQueueDepth
};

inline constexpr std::uint32_t kMaxQueueDepth = 4096;

// The engine that a queue uses.
struct EngineSelection {
  EngineChoice engine = EngineChoice::automatic;  // never automatic once selected
  std::string flags;                              // of the ring
  std::string reason;                             // why this one, for people
};

[[nodiscard]] std::string_view name_of(EngineChoice engine) noexcept;

}  // namespace ashlar::blockio
