// What the operations on file contents have in common. All of it runs under the inode's exclusive lock, except where it
// says otherwise.
#pragma once

#include <cstdint>
#include <span>

#include "fs/volume/extent_window.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// Whether the contents, if there are any, are an inline data item: no blocks and small enough. A shared lock is enough.
[[nodiscard]] bool may_be_inline(const VolumeState& volume, const format::InodeItem& item) noexcept;
// Empty: a hole from end to end. A shared lock is enough.
[[nodiscard]] Status get_inline_data(VolumeState& volume, blockio::IoQueue& io, const Inode& inode,
                                     store::ItemValue& value);
// Moves inline data, if there is any, into extents: a transaction of its own that nobody can tell from nothing.
[[nodiscard]] Status convert_inline(VolumeState& volume, blockio::IoQueue& io, Inode& inode);

// To be called before the file grows, unless the write that makes it grow begins in the block that it ends in. A block
// that is overwritten in place may hold anything past the end of the file: what a write put there that a crash undid.
// Makes it zeros, on the medium. (Shrinking a file takes a new block: so nothing that a crash brings back lies there.)
[[nodiscard]] Status clear_past_end(VolumeState& volume, blockio::IoQueue& io, const Inode& inode);

// Finishes a truncation that failed halfway.
[[nodiscard]] Status finish_truncation(VolumeState& volume, blockio::IoQueue& io, Inode& inode);
// At most `max_steps` transactions of that; whether nothing is left to do. Takes the inode's lock.
[[nodiscard]] Result<bool> continue_truncation(VolumeState& volume, blockio::IoQueue& io, InodeNumber number,
                                               std::size_t max_steps);
// To be called before an item is staged that resize() will change: gets in the way what would need a transaction of its
// own.
[[nodiscard]] Status prepare_resize(VolumeState& volume, blockio::IoQueue& io, Inode& inode, std::uint64_t size);
// Sets the size and commits all that is staged with it.
[[nodiscard]] Status resize(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged, std::uint64_t size,
                            store::Transaction& transaction);

void count_blocks(format::InodeItem& item, const ExtentWindow& window) noexcept;

}  // namespace ashlar::volume
