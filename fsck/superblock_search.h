// A superblock made anew from what a volume's other structures tell, for when its own are gone.
#pragma once

#include <optional>

#include "fs/format/superblock.h"
#include "fsck/check.h"

namespace ashlar::fsck {

// Reads the whole device for tree nodes and the log for chunks, and returns a superblock that leads to the newest whole
// tree, or to the newest part of one, and to the log behind it. `known`: a valid superblock of an older generation;
// then only a whole newer tree counts, and not_found is returned when there is none.
//
// Without `known`, what only the superblock tells is lost: the label, and the seed that keys the hash of names, of
// which a new one is drawn, so that names must be put elsewhere (fsck/rehash.h). not_a_volume when not even a group
// table says what the volume is (fsck/geometry_search.h). corrupt_structure when no node is left.
[[nodiscard]] Result<format::Superblock> search_superblock(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                           const CheckOptions& options,
                                                           const std::optional<format::Superblock>& known);

}  // namespace ashlar::fsck
