#include "fs/volume/link_counts.h"

#include "fs/base/seeded_bug.h"
#include "fs/volume/inode_item.h"

namespace ashlar::volume {

Status add_to_directory(format::InodeItem& directory, bool is_directory, const timespec& now) {
  if (is_directory) {
    if (directory.links >= format::kMaxLinks) return fail(ErrorCode::too_many_links);
    directory.links = directory.links + 1;
  }
  directory.entries = directory.entries + 1;
  contents_changed(directory, now);
  return {};
}

void take_from_directory(format::InodeItem& directory, bool is_directory, const timespec& now) noexcept {
  // A damaged volume's counts may be too small already.
  if (is_directory && directory.links > kLinksOfEmptyDirectory) directory.links = directory.links - 1;
  if (directory.entries > 0) directory.entries = directory.entries - 1;
  contents_changed(directory, now);
}

void drop_name(store::Transaction& transaction, const VolumeState& volume, StagedInode& inode, const timespec& now) {
  format::InodeItem& item = inode.next;
  item.links = inode.inode().is_directory() || item.links == 0 ? 0 : item.links - 1;
  status_changed(item, now);
  if (item.links == 0 && !has_bug(SeededBug::orphan_lost)) {
    put_orphan(transaction, inode.inode().number(), volume.generation, format::OrphanReason::unlinked);
  }
}

}  // namespace ashlar::volume
