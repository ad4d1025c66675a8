// Where a copy of the group table may lie of which nothing is left, when no superblock says where it was.
#pragma once

#include "fs/format/superblock.h"
#include "fsck/check.h"

namespace ashlar::fsck {

// Gives the copy whose place is 0 one that nothing uses which the tree and the log lead to: where the bitmaps show that
// the copy was, else where they show free blocks. no_space when there is none.
[[nodiscard]] Status place_lost_table(blockio::BlockDevice& device, blockio::IoQueue& io,
                                      format::Superblock& superblock);

}  // namespace ashlar::fsck
