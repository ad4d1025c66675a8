// The ioctl by which `ashlarctl filefrag -v` asks how a file lies on the device, which FIEMAP would tell if FUSE let it
// through. On a regular file, by its owner or with CAP_FOWNER.
#pragma once

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace ashlar::fuse {

inline constexpr std::uint32_t kExtentVersion = 1;
inline constexpr std::uint32_t kExtentDone = 1;    // flags of an exchange, out: nothing follows
inline constexpr std::uint32_t kExtentInline = 1;  // flags of an extent
inline constexpr std::uint32_t kExtentUnwritten = 2;
inline constexpr std::uint32_t kExtentUnverified = 4;  // no checksums
inline constexpr std::size_t kExtentsPerExchange = 64;

// In bytes; `physical` from the beginning of the volume.
struct ExtentEntry {
  std::uint64_t logical;
  std::uint64_t physical;
  std::uint64_t length;
  std::uint32_t flags;
  std::uint32_t reserved;
};

struct ExtentExchange {
  std::uint32_t version;  // in
  std::uint32_t flags;
  std::uint64_t position;  // in: from where, bytes; out: where to go on
  std::uint64_t file_size;
  std::uint32_t block_size;
  std::uint32_t count;  // out: of entries
  ExtentEntry entries[kExtentsPerExchange];
};
static_assert(sizeof(ExtentExchange) == 32 + kExtentsPerExchange * 32 && std::is_trivially_copyable_v<ExtentExchange>);

inline constexpr unsigned kExtentCommand = _IOWR('A', 3, ExtentExchange);

}  // namespace ashlar::fuse
