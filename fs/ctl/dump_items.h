// `ashlarctl dump inode` and `ashlarctl dump path`.
#pragma once

#include <string>

#include "fs/ctl/volume_reader.h"

namespace ashlar::ctl {

// All items of an inode, as of the last checkpoint. not_found when it has none.
[[nodiscard]] Status dump_inode(const VolumeReader& reader, const format::Superblock& superblock, std::uint64_t number);
// Each name on the way, then the items of what it leads to. Symbolic links are not followed.
[[nodiscard]] Status dump_path(const VolumeReader& reader, const format::Superblock& superblock,
                               const std::string& path);

}  // namespace ashlar::ctl
