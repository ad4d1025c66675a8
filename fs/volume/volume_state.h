// What the families of operations share. Not for users of the volume.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <mutex>

#include "blockio/block_device.h"
#include "fs/format/items.h"
#include "fs/format/node.h"
#include "fs/store/store.h"
#include "fs/volume/access_times.h"
#include "fs/volume/in_place_writes.h"
#include "fs/volume/inode_table.h"
#include "fs/volume/read_around.h"
#include "fs/volume/reaper.h"
#include "fs/volume/space_search.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {

// The most items one transaction removes or looks at. Each may dirty a part of a tree node, and what a full volume
// keeps in reserve for deleting is a few dozen of them.
[[nodiscard]] inline std::size_t max_items_per_step(std::uint32_t node_size) noexcept {
  constexpr std::size_t kMost = 256;
  constexpr std::size_t kDirtyNodes = 24;
  // Nodes are half full at worst.
  const std::size_t bytes_per_item = 2 * (sizeof(format::LeafItem) + format::max_extent_value_size(node_size));
  const std::size_t items = kDirtyNodes * node_size / bytes_per_item;
  return items < kMost ? items : kMost;
}

// Of what VolumeOptions gives to the store's cache, one part in so many is for inodes.
inline constexpr std::size_t kInodeShareOfCache = 8;

// Lock order: evacuations.lock, rename_lock, inodes in the order of their numbers, then whatever the store and the
// inode table lock inside.
struct VolumeState {
  VolumeState(std::unique_ptr<store::Store> opened, blockio::BlockDevice& on, const VolumeOptions& with);
  ~VolumeState() { reaper.stop(); }  // its thread uses all of this
  VolumeState(const VolumeState&) = delete;
  VolumeState& operator=(const VolumeState&) = delete;

  std::unique_ptr<store::Store> store;
  blockio::BlockDevice& device;
  const VolumeOptions options;
  InodeTable inodes;
  PendingAccesses accesses;  // goes before the table
  Reaper reaper;
  // Held while a directory moves to another parent, so that who is above whom stays put meanwhile.
  std::mutex rename_lock;
  Evacuations evacuations;
  InPlaceWrites in_place_writes;
  ReadAround read_around;
  std::atomic<bool> stopped{false};  // by stop()

  const std::uint32_t block_size;
  const std::uint32_t node_size;
  const std::uint32_t max_inline;              // bytes
  const std::uint32_t max_checksummed_blocks;  // of one extent item
  const std::size_t max_step_items;            // of a transaction that removes
  const Generation generation;                 // that new items carry: of the mount

  [[nodiscard]] std::uint64_t hash(std::string_view name) const noexcept;
  [[nodiscard]] bool no_copy_on_write(const format::InodeItem& item) const noexcept;
  // The file block that holds byte `offset`; the first that begins at or after it.
  [[nodiscard]] std::uint64_t block_of(std::uint64_t offset) const noexcept { return offset / block_size; }
  [[nodiscard]] std::uint64_t block_after(std::uint64_t offset) const noexcept {
    return offset / block_size + (offset % block_size != 0 ? 1 : 0);
  }
};

// An inode's next item, to become true with a transaction. The inode's lock is held exclusively throughout.
class StagedInode {
 public:
  explicit StagedInode(Inode& inode) noexcept : next(with_access_time(inode)), inode_(&inode) {}

  [[nodiscard]] Inode& inode() const noexcept { return *inode_; }

  format::InodeItem next;

 private:
  Inode* inode_;
};

// Puts the staged items into the transaction, commits it, and shows them to later readers; null ones are skipped. On an
// error nothing has changed, unless it is that a synchronous directory's change could not be made durable: then the
// store has stopped.
[[nodiscard]] Status commit(VolumeState& volume, blockio::IoQueue& io, store::Transaction& transaction,
                            std::initializer_list<StagedInode*> staged,
                            store::CommitKind kind = store::CommitKind::ordinary);

}  // namespace ashlar::volume
