// The ioctl by which `ashlarctl defrag` has the daemon put a file's pieces together, step by step. On a regular file,
// by its owner or with CAP_FOWNER; for reading is enough, as nothing that a reader can see changes.
//
// Each call moves about `budget` bytes at most and tells where to go on: the daemon remembers nothing, so it is over
// when its caller stops.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>
#include <type_traits>

namespace ashlar::fuse {

inline constexpr std::uint32_t kDefragmentVersion = 1;
inline constexpr std::uint32_t kDefragmentDryRun = 1;  // in: only looks
inline constexpr std::uint32_t kDefragmentDone = 2;    // out: nothing follows

// All but the flags in bytes.
struct DefragmentExchange {
  std::uint32_t version;  // in
  std::uint32_t flags;
  std::uint64_t position;      // in: from where; out: where to go on
  std::uint64_t shortest_run;  // in: shorter ones are put together; more than 8 MiB is taken as that
  std::uint64_t budget;        // in: more than 16 MiB is taken as that
  std::uint64_t runs;          // out: runs that began between the two positions, before anything was moved
  std::uint64_t bytes;         // out: moved, or in a dry run worth it
};
static_assert(sizeof(DefragmentExchange) == 48 && std::is_trivially_copyable_v<DefragmentExchange>);

inline constexpr unsigned kDefragmentCommand = _IOWR('A', 2, DefragmentExchange);

}  // namespace ashlar::fuse
