// Reading file blocks off the device, verified.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fs/volume/extent_window.h"

namespace ashlar::volume {

// Fills `out` with file blocks [first, end) of a window that covers them: one batch of device reads straight into `out`
// (aligned for the device), zeros for holes and what is unwritten. Every checksum is verified: io_error and a log line
// naming inode and offset when one does not match. The caller holds a read guard, or the inode's lock, from before the
// window was loaded.
//
// With `bad`, blocks whose checksums do not match are no error: their numbers are appended to it, in order.
[[nodiscard]] Status read_file_blocks(VolumeState& volume, blockio::IoQueue& io, InodeNumber inode,
                                      const ExtentWindow& window, std::uint64_t first, std::uint64_t end,
                                      std::byte* out, std::vector<std::uint64_t>* bad = nullptr);

}  // namespace ashlar::volume
