// Writes what can be kept of a volume as its next generation.
#pragma once

#include "fs/format/superblock.h"
#include "fsck/repair.h"

namespace ashlar::fsck {

// Once, with the state that `superblock` leads to. `has_new_seed`: it was made by a search, which cannot know the seed
// of the names' hash, nor whether its root is the whole tree's. no_space when a new tree is needed and has no room
// beside the old one; the volume is as it was then.
[[nodiscard]] Result<Rebuilt> write_next_generation(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                    const CheckOptions& options, const format::Superblock& superblock,
                                                    bool has_new_seed);

}  // namespace ashlar::fsck
