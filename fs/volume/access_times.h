// When reading moves access times, and those that it moved and the tree does not have yet.
#pragma once

#include <time.h>  // NOLINT(modernize-deprecated-headers): timespec
#include <tsl/robin_map.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/items.h"
#include "fs/volume/inode_table.h"
#include "fs/volume/types.h"

namespace ashlar::volume {

struct VolumeState;

// The inodes with an access time in memory that the tree does not have (Inode::accessed), each held in the table.
// Thread-safe; its lock is innermost but for the table's.
class PendingAccesses {
 public:
  // More are not let wait, nor longer while others join them.
  static constexpr std::size_t kMost = 1024;
  static constexpr time_t kLongest = 60;  // seconds

  // True when it is time to write them.
  [[nodiscard]] bool add(InodeRef inode, const timespec& now);
  void remove(InodeNumber number);
  [[nodiscard]] std::vector<InodeRef> take_all();

 private:
  std::mutex lock_;
  tsl::robin_map<std::uint64_t, InodeRef> inodes_;
  time_t first_ = 0;  // when the first of them came
};

// Whether reading now is to move the access time, as mount(8) has it for relatime and strictatime. With the inode's
// lock held.
[[nodiscard]] bool reading_moves_time(const VolumeState& volume, const Inode& inode, const timespec& now) noexcept;

// The inode's item as it is to be shown and written: with the access time that reading moved. With its lock held.
[[nodiscard]] format::InodeItem with_access_time(const Inode& inode) noexcept;

// Puts access times that wait into the tree: of all inodes, or of one. A full volume does not take them, and nothing
// else fails for that: they stay in memory as long as the inodes, and go with what changes next.
void write_access_times(VolumeState& volume, blockio::IoQueue& io);
void write_access_time(VolumeState& volume, blockio::IoQueue& io, Inode& inode);

}  // namespace ashlar::volume
