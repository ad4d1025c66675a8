// Inode items: made, shown as attributes, and changed by the rules of POSIX.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <cstdint>

#include "fs/format/items.h"
#include "fs/volume/types.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

inline constexpr std::uint64_t kMaxFileSize = 0x7fff'ffff'ffff'ffffULL;  // bytes

[[nodiscard]] inline format::Key inode_key(InodeNumber number) noexcept { return {number, format::ItemKind::inode, 0}; }
[[nodiscard]] inline format::Key orphan_key(InodeNumber number) noexcept {
  return {format::kOrphanOwner, format::ItemKind::orphan, number.value()};
}

[[nodiscard]] format::TimeItem to_item(const timespec& time) noexcept;
[[nodiscard]] timespec to_timespec(const format::TimeItem& time) noexcept;
[[nodiscard]] bool not_after(const timespec& left, const timespec& right) noexcept;

[[nodiscard]] Attributes to_attributes(const VolumeState& volume, InodeNumber number,
                                       const format::InodeItem& item) noexcept;
// The same, taking the inode's lock for reading.
[[nodiscard]] Attributes read_attributes(const VolumeState& volume, Inode& inode);

// A node in `parent`: owner, inherited group and flags, times; no links yet.
[[nodiscard]] format::InodeItem new_inode_item(const VolumeState& volume, const Context& context,
                                               const format::InodeItem& parent, const NewNode& node) noexcept;

// A number for an inode that `transaction` makes. corrupt_structure when there is one of that number already, as in a
// damaged volume that gives out numbers again.
[[nodiscard]] Result<InodeNumber> new_inode_number(VolumeState& volume, blockio::IoQueue& io,
                                                   store::Transaction& transaction);

// Contents changed (mtime and ctime), or only what is told about them (ctime).
void contents_changed(format::InodeItem& item, const timespec& now) noexcept;
void status_changed(format::InodeItem& item, const timespec& now) noexcept;
// When somebody without CAP_FSETID changes the contents, or anybody the owner: S_ISUID goes, and S_ISGID of what its
// group may execute, or of a group that the caller is not in.
void clear_suid_sgid(format::InodeItem& item, const Context& context);
[[nodiscard]] bool is_in_group(const Context& context, gid_t group);

// FS_IMMUTABLE_FL; FS_APPEND_FL too where what exists would change.
[[nodiscard]] bool is_immutable(const format::InodeItem& item) noexcept;
[[nodiscard]] bool is_protected(const format::InodeItem& item) noexcept;

void put_orphan(store::Transaction& transaction, InodeNumber number, Generation generation,
                format::OrphanReason reason);

}  // namespace ashlar::volume
