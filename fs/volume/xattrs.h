// Extended attributes: what other operations need of them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// Removes security.capability, if there is one, as every change of contents or owner demands. The inode is locked
// exclusively.
[[nodiscard]] Status drop_capabilities(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged,
                                       store::Transaction& transaction);

// The value, if there is one. The inode is locked.
[[nodiscard]] Result<std::optional<std::string>> read_xattr(VolumeState& volume, blockio::IoQueue& io,
                                                            InodeNumber number, std::string_view name);
// Sets it, whether there was one or not, and counts it in `item`. The inode is locked exclusively or being made.
[[nodiscard]] Status stage_xattr(VolumeState& volume, blockio::IoQueue& io, InodeNumber number, format::InodeItem& item,
                                 std::string_view name, std::span<const std::byte> value,
                                 store::Transaction& transaction);

}  // namespace ashlar::volume
