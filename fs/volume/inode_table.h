// The inodes somebody uses: those the kernel holds references to, and those of operations under way.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/fair_shared_mutex.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/items.h"
#include "fs/store/store.h"
#include "fs/volume/allocation_stream.h"

namespace ashlar::volume {

class Inode {
 public:
  explicit Inode(InodeNumber number) noexcept : number_(number) {}

  [[nodiscard]] InodeNumber number() const noexcept { return number_; }
  // S_IFMT bits; never change.
  [[nodiscard]] std::uint32_t type() const noexcept { return type_; }
  [[nodiscard]] bool is_directory() const noexcept;
  [[nodiscard]] bool is_regular() const noexcept;

  // Several inodes are locked in the order of their numbers, see InodeLocks.
  FairSharedMutex lock;
  // What the store holds. Guarded by lock.
  format::InodeItem item{};
  // Extents past the size may remain, though the operation that should have removed them is over: they must go before
  // the file grows. The inode's orphan item says so while it has names. Guarded by lock.
  bool truncation_unfinished = false;
  // No name is left. Written under lock.
  std::atomic<bool> unlinked{false};
  // The access time that reading moved, in nanoseconds since 1970, while the item does not have it; or 0. Set with the
  // lock shared, taken into the item with it exclusive.
  std::atomic<std::int64_t> accessed{0};
  // Where the next long write had best go.
  AllocationStream allocation_stream;
  // The log up to here holds all that was done to the inode.
  std::atomic<std::uint64_t> changed_lsn{0};

 private:
  friend class InodeTable;

  const InodeNumber number_;
  std::uint32_t type_ = 0;  // written once, before loaded_
  std::atomic<bool> loaded_{false};
  // Guarded by the shard's mutex.
  std::uint64_t references_ = 0;  // the kernel's
  std::uint64_t pins_ = 0;        // of operations
  bool doomed_ = false;           // waits for its removal: nobody can reach it any more
  bool idle_ = false;             // in the shard's list of those that no operation uses
  Inode* used_before_ = nullptr;  // its neighbours there
  Inode* used_after_ = nullptr;
};

class InodeTable;

// Keeps an inode in the table. Move-only.
class InodeRef {
 public:
  InodeRef() = default;
  InodeRef(InodeTable& table, Inode& inode) noexcept : table_(&table), inode_(&inode) {}
  ~InodeRef() { reset(); }
  InodeRef(InodeRef&& other) noexcept;
  InodeRef& operator=(InodeRef&& other) noexcept;
  InodeRef(const InodeRef&) = delete;
  InodeRef& operator=(const InodeRef&) = delete;

  void reset() noexcept;
  [[nodiscard]] Inode* get() const noexcept { return inode_; }
  Inode& operator*() const noexcept { return *inode_; }
  Inode* operator->() const noexcept { return inode_; }
  explicit operator bool() const noexcept { return inode_ != nullptr; }

 private:
  InodeTable* table_ = nullptr;
  Inode* inode_ = nullptr;
};

// Thread-safe. Of the inodes that the kernel remembers and no operation uses, only the last `most_idle` are kept whole:
// of the others the table knows how often the kernel refers to them (the room for that is charged to the store's
// cache), and loads them again. Its locks are innermost, save that loading an inode holds one of loading_ across a read
// of the store.
class InodeTable {
 public:
  InodeTable(store::Store& store, std::size_t most_idle);
  ~InodeTable();

  // About what an inode takes that is kept whole.
  static constexpr std::size_t kBytesPerInode = sizeof(Inode) + 96;

  // stale_handle when there is no such inode, or none that can still be reached.
  [[nodiscard]] Result<InodeRef> acquire(blockio::IoQueue& io, InodeNumber number);
  // The inode that the caller is about to make with this item: its number is new, and no item has it. corrupt_structure
  // when somebody uses an inode of that number nevertheless; who is just looking whether there is one (file handles may
  // have any number) is not in the way.
  [[nodiscard]] Result<InodeRef> create(InodeNumber number, const format::InodeItem& item);

  void add_reference(Inode& inode);
  void drop_references(InodeNumber number, std::uint64_t count);
  // Takes back every reference of the kernel: it is gone.
  void drop_all_references();

  // An inode that lost its last name and its last user: to be removed, then passed to forget_doomed().
  [[nodiscard]] std::optional<InodeNumber> next_doomed();
  // What was removed need not have come from here: then who uses an inode of that number, or only looks whether there
  // is one, keeps it.
  void forget_doomed(InodeNumber number);
  [[nodiscard]] bool has_doomed();

  [[nodiscard]] std::size_t size() const;  // those kept whole

 private:
  friend class InodeRef;
  static constexpr std::size_t kShards = 64;
  struct Shard;

  [[nodiscard]] Shard& shard_of(InodeNumber number) const noexcept;
  [[nodiscard]] Status load(blockio::IoQueue& io, Inode& inode);
  void fill(Inode& inode, const format::InodeItem& item) noexcept;
  [[nodiscard]] Result<bool> is_half_truncated(blockio::IoQueue& io, InodeNumber number);
  void unpin(Inode& inode) noexcept;
  // With the shard's mutex held: lets go of an inode that nobody uses.
  void retire(Shard& shard, Inode& inode) noexcept;
  // An inode without names is not there to be loaded again, so it never idles.
  void let_idle(Shard& shard, Inode& inode) noexcept;

  store::Store& store_;
  const std::size_t most_idle_per_shard_;
  std::unique_ptr<std::array<Shard, kShards>> shards_;
  std::array<std::mutex, kShards> loading_;
  std::mutex doomed_lock_;
  std::vector<InodeNumber> doomed_;  // bounded by the inodes in the table
};

// Holds several inodes exclusively; null and repeated ones are fine.
class InodeLocks {
 public:
  InodeLocks(std::initializer_list<Inode*> inodes);
  ~InodeLocks();
  InodeLocks(const InodeLocks&) = delete;
  InodeLocks& operator=(const InodeLocks&) = delete;

 private:
  static constexpr std::size_t kMost = 4;  // rename: two parents, what moves, what it replaces
  std::array<Inode*, kMost> locked_{};
  std::size_t count_ = 0;
};

}  // namespace ashlar::volume
