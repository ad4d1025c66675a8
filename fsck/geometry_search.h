// Where the fixed parts of a volume lie, when no superblock is left to say it.
#pragma once

#include <optional>

#include "fs/format/superblock.h"
#include "fsck/check.h"

namespace ashlar::fsck {

// Fills in block size and count, generation, uuid, and the places of the group table and the log. mkfs's places for a
// device of this size are looked at first. A volume that has grown, or never had all of its device, has them elsewhere:
// then the device is read for the copies of a group table. Where only one is left, the other's place is 0; where none,
// mkfs's places count. The
// log begins where mkfs puts it, and is as long as what it holds shows that it must be at least: what it may have
// beyond is taken for blocks of files, which it may be. not_a_volume when no group table is found.
[[nodiscard]] Result<format::Superblock> search_geometry(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                         const CheckOptions& options);

}  // namespace ashlar::fsck
