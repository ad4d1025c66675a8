// A part of a file's extents in memory: looked at, edited, and written back as the puts and erases that make the
// difference.
#pragma once

#include <absl/container/inlined_vector.h>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/items.h"
#include "fs/store/store.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// An extent whose checksums, if it has any, lie in its window.
struct MappedExtent {
  std::uint64_t file_block = 0;
  BlockNumber physical;
  std::uint32_t count = 0;
  std::uint8_t flags = 0;
  Generation birth;
  std::size_t checksums_at = 0;

  [[nodiscard]] std::uint64_t end() const noexcept { return file_block + count; }
  [[nodiscard]] bool unwritten() const noexcept { return (flags & format::kExtentUnwritten) != 0; }
  // Neither: all its blocks have checksums.
  [[nodiscard]] bool checksummed() const noexcept { return flags == 0; }
  [[nodiscard]] BlockNumber physical_of(std::uint64_t block) const noexcept { return physical + (block - file_block); }
};

inline constexpr std::uint64_t kEndOfFileBlocks = std::numeric_limits<std::uint64_t>::max();

// Not thread-safe. The inode's lock is held from load() until the edits are committed (shared is enough when nothing is
// edited).
class ExtentWindow {
 public:
  ExtentWindow(const VolumeState& volume, InodeNumber inode) : volume_(volume), inode_(inode) {}

  // Every extent that overlaps file blocks [first, end), the one before, and one that begins at `end`; of those past
  // `first` at most `max_extents`. corrupt_structure when they overlap one another or leave the volume.
  [[nodiscard]] Status load(blockio::IoQueue& io, std::uint64_t first, std::uint64_t end,
                            std::size_t max_extents = std::numeric_limits<std::size_t>::max());
  // Instead of load(): the one extent that an item describes, which somebody else has read.
  [[nodiscard]] Status adopt(const format::Key& key, std::span<const std::byte> value);
  // Whether load() met its limit; then blocks from loaded_end() on are unknown.
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  [[nodiscard]] std::uint64_t loaded_end() const noexcept { return loaded_end_; }

  [[nodiscard]] std::span<const MappedExtent> extents() const noexcept { return {extents_.data(), extents_.size()}; }
  // Null when the block is in a hole. Valid until the next edit.
  [[nodiscard]] const MappedExtent* find(std::uint64_t block) const noexcept;
  [[nodiscard]] std::uint32_t checksum(const MappedExtent& extent, std::uint64_t block) const noexcept {
    return checksums_[extent.checksums_at + static_cast<std::size_t>(block - extent.file_block)];
  }
  // Where the next block of the file had best lie; 0 when unknown.
  [[nodiscard]] BlockNumber goal_for(std::uint64_t block) const noexcept;

  enum class Fate : std::uint8_t { free_blocks, keep_blocks };
  // Makes a hole of [first, end). keep_blocks: they are about to be inserted again.
  void remove(std::uint64_t first, std::uint64_t end, Fate fate);
  // Into a hole. `checksums`: one a block, or none when a flag says so. Joined with its neighbours where possible, cut
  // into items.
  void insert(std::uint64_t file_block, BlockRun run, std::uint8_t flags, std::span<const format::le32> checksums);

  // Puts and erases what changed, and frees what was removed.
  void stage(store::Transaction& transaction) const;
  // Blocks that the inode has more, or fewer, than when this was loaded.
  [[nodiscard]] std::int64_t block_change() const noexcept;
  // Whether there are more items than when this was loaded.
  [[nodiscard]] bool has_more_items() const noexcept { return extents_.size() > loaded_.size(); }

 private:
  [[nodiscard]] Status append(const format::Key& key, std::span<const std::byte> value);
  void insert_one(MappedExtent extent);
  [[nodiscard]] bool join(MappedExtent& left, const MappedExtent& right);
  void put(store::Transaction& transaction, const MappedExtent& extent) const;

  // What a small write finds: the extents before, in and after it.
  static constexpr std::size_t kFewExtents = 4;
  static constexpr std::size_t kFewChecksums = 64;

  const VolumeState& volume_;
  const InodeNumber inode_;
  absl::InlinedVector<MappedExtent, kFewExtents> loaded_;       // as in the store
  absl::InlinedVector<MappedExtent, kFewExtents> extents_;      // ascending, not overlapping
  absl::InlinedVector<format::le32, kFewChecksums> checksums_;  // only ever appended to
  absl::InlinedVector<BlockRun, kFewExtents> freed_;
  std::uint64_t loaded_end_ = kEndOfFileBlocks;
  bool truncated_ = false;
};

}  // namespace ashlar::volume
