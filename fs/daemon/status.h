// What a mount tells of itself: the JSON that `ashlarctl stat` shows.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "blockio/block_device.h"
#include "fs/volume/volume.h"

namespace ashlar::daemon {

// Bounded: some ten KiB, whatever the volume does.
inline constexpr int kStatusVersion = 1;

// What does not change while the volume is mounted, in words for people where they are words.
struct MountFacts {
  std::string mount_point;
  std::string errors_policy;  // of errors=
  blockio::EngineSelection engine;
  std::string transport;
  std::string transport_reason;
  unsigned threads = 0;
  std::size_t cache_limit = 0;  // bytes
  std::chrono::seconds commit_interval{0};
};

// Thread-safe.
[[nodiscard]] std::string status_json(const MountFacts& facts, const blockio::BlockDevice& device,
                                      volume::Volume& volume);

}  // namespace ashlar::daemon
