// Extended attributes: what other operations need of them.
#pragma once

#include <string_view>

#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// Removes security.capability, if there is one, as every change of contents or owner demands. The inode is locked
// exclusively.
[[nodiscard]] Status drop_capabilities(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged,
                                       store::Transaction& transaction);

}  // namespace ashlar::volume
