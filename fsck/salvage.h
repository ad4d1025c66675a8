// Finds what lies on the device though no node leads to it.
#pragma once

#include "fsck/stored_bitmaps.h"

namespace ashlar::fsck {

// Reads every block that is marked in use and that neither a node nor a file (`files`) in reach owns, and puts the
// items of the leaves found there into context.salvaged, as far as their keys are in context.lost; of two versions the
// newer counts. The leaves' blocks become owned, so that nothing is written over them. Where nothing
// tells what of a group is in use all of it is read, unless `only_in_use`.
[[nodiscard]] Status salvage_lost_items(CheckContext& context, StoredBitmaps& bitmaps, const BlockMap& files,
                                        bool only_in_use);

}  // namespace ashlar::fsck
