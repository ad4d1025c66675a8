// Moving blocks of a file to another place on the device, while the file is in use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/store/transaction.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// What file blocks [first, end) hold goes to the first blocks of `target`, in order and without the holes, as much as
// `buffer` (aligned for the device) has room for, in one transaction: contents, size, times, holes and what is
// preallocated stay as they are, and until it is durable a crash leaves the old blocks. Returns the file block where to
// go on. That is `end` when nothing more is there, or more than `target` has room for, as another writer may bring
// about. io_error: a block is not what its checksum says; nothing has moved. `kind`: ordinary, or
// replacing for who makes room by it. Takes the inode's lock.
[[nodiscard]] Result<std::uint64_t> move_blocks(VolumeState& volume, blockio::IoQueue& io, Inode& inode,
                                                std::uint64_t first, std::uint64_t end, store::Allocation& target,
                                                std::span<std::byte> buffer,
                                                store::CommitKind kind = store::CommitKind::ordinary);

}  // namespace ashlar::volume
