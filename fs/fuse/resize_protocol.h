// The ioctl by which `ashlarctl resize` has the daemon make its volume larger. On the root directory of a mount; for
// who has CAP_SYS_ADMIN.
#pragma once

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace ashlar::fuse {

inline constexpr std::uint32_t kResizeVersion = 1;
inline constexpr std::uint32_t kResizeDryRun = 1;  // in: only tells
inline constexpr std::size_t kResizeMessage = 216;

// Sizes are bytes.
struct ResizeExchange {
  std::uint32_t version;  // in
  std::uint32_t flags;    // in
  std::uint64_t size;     // in: wanted; 0: all of the device. Out: that the volume has, or in a dry run would have
  std::uint64_t before;   // out: that it had
  std::uint64_t device;   // out: that the device has
  std::int32_t error;     // out: errno when it was refused or failed; the other numbers say nothing then
  std::uint32_t reserved;
  char message[kResizeMessage];  // out: why, for people; cut, and ended by NUL
};
static_assert(sizeof(ResizeExchange) == 256 && std::is_trivially_copyable_v<ResizeExchange>);

inline constexpr unsigned kResizeCommand = _IOWR('A', 3, ResizeExchange);

}  // namespace ashlar::fuse
