// What every operation begins with.
#pragma once

#include <string_view>

#include "fs/base/result.h"
#include "fs/volume/directory_names.h"
#include "fs/volume/inode_item.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// Times that an operation looks a name up anew because it changed before the inodes were locked.
inline constexpr int kMaxNameRaces = 1000;

[[nodiscard]] inline Status check_writable(const VolumeState& volume) {
  if (volume.stopped.load(std::memory_order_relaxed)) return fail(ErrorCode::shut_down);
  if (volume.store->read_only()) return fail(ErrorCode::read_only);
  return {};
}

[[nodiscard]] inline Result<InodeRef> acquire_directory(VolumeState& volume, blockio::IoQueue& io, InodeNumber number) {
  InodeRef inode = TRY(volume.inodes.acquire(io, number));
  if (!inode->is_directory()) return fail(ErrorCode::not_a_directory);
  return inode;
}

[[nodiscard]] inline Result<InodeRef> acquire_regular(VolumeState& volume, blockio::IoQueue& io, InodeNumber number) {
  InodeRef inode = TRY(volume.inodes.acquire(io, number));
  if (inode->is_directory()) return fail(ErrorCode::is_a_directory);
  if (!inode->is_regular()) return fail(ErrorCode::invalid_argument);
  return inode;
}

// Whether names may be added to or removed from a directory whose lock is held.
[[nodiscard]] inline Status check_names_may_change(const format::InodeItem& directory, bool removing) {
  if (directory.links == 0) return fail(ErrorCode::not_found);  // removed while still in use
  if (removing ? is_protected(directory) : is_immutable(directory)) return fail(ErrorCode::not_permitted);
  return {};
}

// The inode that a name leads to, kept in the table. not_found; corrupt_structure when it leads nowhere.
[[nodiscard]] Result<InodeRef> acquire_named(VolumeState& volume, blockio::IoQueue& io, Inode& directory,
                                             std::string_view name);

}  // namespace ashlar::volume
