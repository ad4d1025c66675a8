// Moving file data out of parts of the volume, while files are in use.
#pragma once

#include <cstdint>
#include <span>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// What data lies in `zones` (ascending, see Store::open_metadata_zones()) goes elsewhere; the next checkpoint frees it.
// Reads all items of the volume. Returns the blocks moved. What cannot be read stays where it is. no_space: the zones
// were closed, because there is no room elsewhere. No inode may be locked by the caller.
[[nodiscard]] Result<std::uint64_t> evacuate(VolumeState& volume, blockio::IoQueue& io,
                                             std::span<const BlockRun> zones);

}  // namespace ashlar::volume
