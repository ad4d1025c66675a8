#include "fs/volume/volume_state.h"

#include <linux/fs.h>

#include "fs/volume/file_contents.h"
#include "fs/volume/inode_item.h"

namespace ashlar::volume {

VolumeState::VolumeState(std::unique_ptr<store::Store> opened, blockio::BlockDevice& on, const VolumeOptions& with)
    : store(std::move(opened)),
      device(on),
      options(with),
      inodes(*store, with.store.cache_bytes / kInodeShareOfCache / InodeTable::kBytesPerInode),
      reaper(*store, inodes,
             [this](blockio::IoQueue& io, InodeNumber number, std::size_t max_steps) {
               return continue_truncation(*this, io, number, max_steps);
             }),
      block_size(store->layout().block_size()),
      node_size(store->layout().node_size()),
      max_inline(format::max_inline_size(node_size)),
      max_checksummed_blocks(format::max_checksummed_blocks(node_size)),
      max_step_items(max_items_per_step(node_size)),
      generation(store->superblock().generation.value()) {}

std::uint64_t VolumeState::hash(std::string_view name) const noexcept {
  return format::hash_name(name, store->superblock().hash_seed);
}

bool VolumeState::no_copy_on_write(const format::InodeItem& item) const noexcept {
  return options.no_copy_on_write || (item.flags & FS_NOCOW_FL) != 0;
}

namespace {

// dirsync of mount(8) and chattr(1); S of chattr(1) implies it, as in the kernel.
bool is_synchronous(const VolumeState& volume, const StagedInode& staged) noexcept {
  if (!staged.inode().is_directory()) return false;
  return volume.options.sync_names || (staged.next.flags & (FS_DIRSYNC_FL | FS_SYNC_FL)) != 0;
}

}  // namespace

Status commit(VolumeState& volume, blockio::IoQueue& io, store::Transaction& transaction,
              std::initializer_list<StagedInode*> staged, store::CommitKind kind) {
  for (StagedInode* one : staged) {
    if (one == nullptr) continue;
    one->next.version = one->next.version + 1;
    transaction.put_item(inode_key(one->inode().number()), one->next);
  }
  const Lsn lsn = TRY(volume.store->commit(io, transaction, kind));
  bool synchronous = false;
  for (StagedInode* one : staged) {
    if (one == nullptr) continue;
    synchronous = synchronous || is_synchronous(volume, *one);
    Inode& inode = one->inode();
    inode.item = one->next;
    inode.unlinked.store(one->next.links == 0, std::memory_order_relaxed);
    inode.changed_lsn.store(lsn.value(), std::memory_order_relaxed);
    if (inode.accessed.exchange(0, std::memory_order_relaxed) != 0) volume.accesses.remove(inode.number());
  }
  // With the directory still locked, as the kernel has it locked, too, until it is answered.
  if (synchronous) return volume.store->sync(io, lsn);
  return {};
}

}  // namespace ashlar::volume
