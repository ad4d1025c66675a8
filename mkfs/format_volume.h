// Makes an empty volume on a device. No look at what the device held before: that is the caller's (see
// existing_contents.h).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "blockio/block_device.h"
#include "blockio/geometry.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/layout.h"
#include "fs/format/superblock.h"

namespace ashlar::mkfs {

inline constexpr std::uint32_t kDefaultBlockSize = 4096;
inline constexpr std::uint32_t kDefaultNodeSize = 16384;

using Uuid = std::array<std::uint8_t, 16>;

// Of the root directory.
struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

struct FormatOptions {
  std::uint64_t volume_bytes = 0;  // 0: as much as the device has
  std::uint32_t block_size = 0;    // 0: 4096, more when the device's sectors or a huge volume need it
  std::uint32_t node_size = 0;     // 0: 16384, or the block size if that is more
  std::string label;               // UTF-8, at most format::kLabelSize bytes
  std::optional<Uuid> uuid;        // random if not given
  Owner owner;
  std::uint64_t compatible = 0;  // feature bits
  std::uint64_t read_only_compatible = 0;
  std::uint64_t incompatible = 0;
  bool discard = false;  // tell the device first, if it can be told, that all it holds is garbage; it need not comply
};

struct FormatOutcome {
  format::Layout layout;
  format::Superblock superblock;
  Owner owner;
};

// What format_volume would do on a device of that geometry, everything checked, nothing written. uuid, hash seed and
// log epoch are drawn anew by every call.
[[nodiscard]] Result<FormatOutcome> plan_volume(const blockio::Geometry& geometry, const FormatOptions& options);

// Writes what was planned and completes its superblock (checksums of what it points to). Whatever the device held is
// lost as soon as this begins; a volume is there only once it returns success.
// `progress`: of discarding, which is all that takes time.
using DiscardProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;  // bytes
[[nodiscard]] Status write_volume(blockio::IoQueue& io, FormatOutcome& plan, bool discard,
                                  const DiscardProgress& progress = {});

// Both. Errors: device_too_small, invalid_argument, read_only, whatever the device reports.
[[nodiscard]] Result<FormatOutcome> format_volume(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                  const FormatOptions& options);

}  // namespace ashlar::mkfs
