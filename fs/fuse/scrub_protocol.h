// The ioctl by which `ashlarctl scrub` has the daemon look for damage, step by step. On the root directory of a mount;
// for root and for the user who mounted it.
//
// Each call checks about `budget` bytes from a position, and tells the next one: the daemon remembers nothing, so a
// scrub is as fast as its caller calls, and is over when he stops.
#pragma once

#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace ashlar::fuse {

inline constexpr std::uint32_t kScrubVersion = 1;
inline constexpr std::uint64_t kMaxScrubBudget = 8U << 20;  // bytes; more is taken as this much
inline constexpr std::size_t kScrubFindings = 192;

enum class ScrubPhase : std::uint32_t { fixed = 0, tree = 1, done = 2 };

// What ScrubFinding::where, first and last mean.
enum class ScrubWhat : std::uint8_t {
  superblock = 1,   // byte offset of the bad copy on the volume; 0, 0
  group_table = 2,  // likewise
  bitmap = 3,       // likewise
  node = 4,         // likewise; the lowest and the highest inode that it may hold something of
  data = 5,         // the inode; first byte and the byte after the last
};
inline constexpr std::uint8_t kScrubHealed = 1;  // rewritten from the other copy
inline constexpr std::uint8_t kScrubLost = 2;    // no good copy is left

struct ScrubFinding {
  std::uint64_t where;
  std::uint64_t first;
  std::uint64_t last;
  ScrubWhat what;
  std::uint8_t flags;
  std::uint16_t reserved;
  std::int32_t error;  // errno
};
static_assert(sizeof(ScrubFinding) == 32);

struct ScrubExchange {
  std::uint32_t version;  // in
  std::uint32_t finding_count;
  // In: from where; out: where to go on. All zero is the beginning.
  ScrubPhase phase;
  std::uint32_t key_kind;
  std::uint64_t unit;
  std::uint64_t key_inode;
  std::uint64_t key_offset;
  std::uint64_t budget;  // in
  // Out: of this step.
  std::uint64_t metadata_bytes;
  std::uint64_t data_bytes;
  std::uint64_t unchecked_bytes;  // of file data without checksums
  // Out: of the volume, about what a whole scrub reads.
  std::uint64_t total_bytes;
  ScrubFinding findings[kScrubFindings];
};
static_assert(sizeof(ScrubExchange) == 80 + kScrubFindings * sizeof(ScrubFinding));
static_assert(std::is_trivially_copyable_v<ScrubExchange>);

inline constexpr unsigned kScrubCommand = _IOWR('A', 1, ScrubExchange);

}  // namespace ashlar::fuse
