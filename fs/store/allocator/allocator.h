// Which blocks are free. Bitmaps lie at fixed places (format/layout.h); in memory each block has two bits:
//   committed  in use in the state that the last committed transaction left; what a checkpoint writes
//   busy       committed, or taken by somebody who has not committed yet, or freed and not yet reusable
// A freed block becomes free for all when release_freed() is told that the checkpoint that freed it is durable and that
// the reads that may still look at it have ended.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/layout.h"
#include "fs/store/checked_copies.h"

namespace ashlar::store {

enum class Purpose : std::uint8_t {
  data,      // near the goal, long runs
  metadata,  // tree nodes: apart from data
};
inline constexpr std::size_t kPurposes = 2;

struct AllocationRequest {
  Purpose purpose = Purpose::data;
  BlockNumber goal;                 // 0: none. Begin the search here (end of the file's last extent, ...)
  std::uint64_t minimum = 1;        // blocks
  std::uint64_t maximum = 1;        // a shorter run is fine down to the minimum
  std::uint32_t avoid_group = ~0U;  // metadata's second copy: not in this group when another has room
  // Long runs, where somebody else has the goal: into the middle of a large room, for what follows. Otherwise into the
  // first place that holds it.
  bool leave_room = true;
};

// What a checkpoint must write into the superblock.
struct FrozenTotals {
  std::uint64_t free_blocks = 0;
  std::uint32_t group_table_crc = 0;
};

// A block that exists twice.
struct CheckedBlock {
  std::array<BlockNumber, format::kCopies> place;
  CheckedCopies copies;
};

// A volume that is to become larger.
struct Growth {
  format::Layout layout;
  // Copies of the group table that found no room in what is gained: allocated, not committed.
  std::vector<BlockRun> tables;
  std::vector<std::uint32_t> held;  // groups whose bitmaps change, while they are pinned
  bool begun = false;               // begin_growth() was called
};

// Thread-safe; one lock inside, never held across device I/O. Bitmaps are read when first touched and a limited number
// is kept.
class Allocator {
 public:
  // Reads the group table (both slots, both copies; heals a bad copy unless read_only) and proves it against
  // superblock.group_table_crc: corrupt_structure, stale_block or bad_checksum when it cannot be trusted.
  [[nodiscard]] static Result<std::unique_ptr<Allocator>> open(blockio::IoQueue& io,
                                                               const format::Superblock& superblock, bool read_only);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // Takes a run: busy, not committed. no_space when there is no run of `minimum` blocks.
  [[nodiscard]] Result<BlockRun> allocate(blockio::IoQueue& io, const AllocationRequest& request);
  // The first run of at least `minimum` free blocks that begins in `within` and ends there, at most `maximum` of it;
  // count 0 when there is none. Taken as by allocate(), but wherever it is: for telling the device what is free.
  [[nodiscard]] Result<BlockRun> take_free(blockio::IoQueue& io, BlockRun within, std::uint64_t minimum,
                                           std::uint64_t maximum);
  // Keeps about `blocks` blocks, where most of them are free already, for metadata: what holds data there can be moved
  // elsewhere, for which there is room, and no data comes to lie there as long as the zones are open. Ascending;
  // they stay until close_metadata_zones(), or until more than kMaxMetadataZones are opened. no_space: not worth it.
  [[nodiscard]] Result<std::vector<BlockRun>> open_metadata_zones(blockio::IoQueue& io, std::uint64_t blocks);
  static constexpr std::size_t kMaxMetadataZones = 64;
  // Whether there were any.
  bool close_metadata_zones();
  // Gives back what was allocated and not committed.
  void cancel(BlockRun run);

  // Loads and pins the bitmaps that committing `runs` will touch; unpin() after. So that commit never needs I/O.
  [[nodiscard]] Status pin(blockio::IoQueue& io, std::span<const BlockRun> runs);
  void unpin(std::span<const BlockRun> runs);

  // Whether the volume's items may give back `runs`: all of it in use, none of it a fixed part or named twice;
  // corrupt_structure otherwise, which a damaged or hostile volume can bring about. Bitmaps pinned; holds as long as
  // the caller keeps commits out.
  [[nodiscard]] Status check_free(std::span<const BlockRun> runs) const;

  // Under the store's commit lock, in log order, bitmaps pinned. Committing what was not taken, or giving back what is
  // not in use, marks the bitmaps as damaged: nothing is given back, and the next write_frozen() fails so that the
  // volume stops.
  void commit(std::span<const BlockRun> allocated, std::span<const BlockRun> freed);
  [[nodiscard]] bool damaged() const;

  // Recovery's versions of the same: the run need not be busy; what is freed is reusable after the next checkpoint.
  // corrupt_structure when the run is out of bounds, touches a fixed block, or is already in the state asked for.
  [[nodiscard]] Status replay_allocate(blockio::IoQueue& io, BlockRun run);
  [[nodiscard]] Status replay_free(blockio::IoQueue& io, BlockRun run);

  // Checkpoint, on the checkpointer's thread. freeze(): under the store's commit lock, O(changed groups): what is
  // committed now is what write_frozen() writes. Between the two the checkpoint itself takes and gives back blocks of
  // the tree's nodes, which count in the frozen state as well: commit_node_allocate / commit_node_free.
  void freeze(Generation generation);
  [[nodiscard]] Status commit_node_allocate(blockio::IoQueue& io, BlockRun run);
  [[nodiscard]] Status commit_node_free(blockio::IoQueue& io, BlockRun run);
  // Writes changed bitmaps and group table blocks into their inactive slots (both copies), no flush.
  [[nodiscard]] Result<FrozenTotals> write_frozen(blockio::IoQueue& io);
  // The superblock of the frozen generation is durable: its slots are current now.
  void finish_frozen();
  // Growing, a part of the checkpoint that makes it true. hold_for_growth(): before it, reads and pins the bitmaps of
  // the groups that change. begin_growth(): under the store's commit lock, before freeze(); what is gained, and where
  // the group table was, becomes free with what that checkpoint frees. finish_frozen() ends it.
  [[nodiscard]] Status hold_for_growth(blockio::IoQueue& io, Growth& growth);
  void release_hold(Growth& growth);  // once it is true, or will not be
  void begin_growth(Growth& growth);

  // What was freed up to and including `generation`'s freeze becomes reusable. Call once readers that began before have
  // ended. The runs are added to `released`, unless that is null.
  void release_freed(Generation generation, std::vector<BlockRun>* released = nullptr);

  // Both copies of a block of the group table, and of a group's bitmap (none when it never had one). No checkpoint may
  // run meanwhile. `heal`: rewrite a bad copy.
  [[nodiscard]] Result<CheckedBlock> check_table_block(blockio::IoQueue& io, std::uint32_t index, bool heal) const;
  [[nodiscard]] Result<std::optional<CheckedBlock>> check_bitmap(blockio::IoQueue& io, std::uint32_t group,
                                                                 bool heal) const;

  // All O(1).
  // Blocks nobody holds: what allocate() can hand out now.
  [[nodiscard]] std::uint64_t free_now() const;
  // Blocks not committed: what is free once everything freed is released and everything taken is cancelled.
  [[nodiscard]] std::uint64_t free_committed() const;
  // Freed blocks that wait for a checkpoint.
  [[nodiscard]] std::uint64_t waiting() const;
  // Copies of bitmaps and group table blocks found bad and rewritten (bitmaps: by the next checkpoint) since open().
  [[nodiscard]] std::uint64_t healed() const;

 private:
  struct State;
  explicit Allocator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::store
