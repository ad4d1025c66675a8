// Makes a new tree the volume: bitmaps, group table and superblock of the next generation.
#pragma once

#include "fsck/stored_bitmaps.h"

namespace ashlar::fsck {

// Writes the bitmaps of what `used` says and the group table into the slots that `stored` does not use, flushes, and
// then writes `next`, completed and sealed, into the superblock's other slot. Until that the old generation is whole,
// so that a power cut leaves the volume as it was.
[[nodiscard]] Status write_generation(CheckContext& context, const StoredBitmaps& stored, const BlockMap& used,
                                      format::Superblock next);

}  // namespace ashlar::fsck
