// What adding and removing names does to the inodes on both ends.
#pragma once

#include <time.h>

#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// A directory's links: its name, its own ".", and ".." of every directory in it.
inline constexpr std::uint32_t kLinksOfEmptyDirectory = 2;

// A name more in a directory. too_many_links.
[[nodiscard]] Status add_to_directory(format::InodeItem& directory, bool is_directory, const timespec& now);
// A name less in a directory.
void take_from_directory(format::InodeItem& directory, bool is_directory, const timespec& now) noexcept;
// A name less of an inode; an orphan item when that was its last.
void drop_name(store::Transaction& transaction, const VolumeState& volume, StagedInode& inode, const timespec& now);

}  // namespace ashlar::volume
