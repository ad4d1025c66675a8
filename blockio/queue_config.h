// How a queue is set up.
#pragma once

#include <cstdint>
#include <string>

namespace ashlar::blockio {

enum class EngineChoice : std::uint8_t { automatic, io_uring, aio };

struct QueueConfig {
  EngineChoice engine = EngineChoice::automatic;
  std::uint32_t depth = 64;  // operations in flight at most
};

}  // namespace ashlar::blockio
