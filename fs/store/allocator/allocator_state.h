// What the files that implement Allocator share. Nobody else includes this.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "fs/store/allocator/allocator.h"
#include "fs/store/allocator/bitmap.h"
#include "fs/store/allocator/group_table.h"
#include "fs/store/current_layout.h"

namespace ashlar::store {

struct Allocator::State {
  // A group's bitmaps in memory. Invariant: what is committed is busy.
  struct Bitmaps {
    Bitmap committed;
    Bitmap busy;
    std::optional<Bitmap> frozen;  // `committed` as the running checkpoint must write it, once it differs
    std::uint32_t pins = 0;
    bool touched = true;  // since the eviction hand last came by
  };
  struct Group {
    std::uint32_t free_now = 0;        // clear bits of busy
    std::uint32_t free_committed = 0;  // clear bits of committed
    // By purpose: no run of free blocks that it may have is longer; may be too high.
    std::array<std::uint32_t, kPurposes> longest{};
    bool broken = false;               // its bitmap could not be had: nothing is allocated here
    bool changed = false;              // since the last freeze
    bool frozen = false;               // the running checkpoint writes it
    std::unique_ptr<Bitmaps> bitmaps;  // null: not in memory
  };
  // The part of a run that lies in one group.
  struct Piece {
    std::uint32_t group;
    std::uint32_t first;  // from the group's first block
    std::uint32_t count;
  };
  using Lock = std::unique_lock<std::mutex>;

  State(const format::Superblock& superblock, GroupTable group_table, bool is_read_only);

  [[nodiscard]] bool in_bounds(BlockRun run) const noexcept;
  // Calls visit(Piece) for each group that `run`, which is in bounds, touches.
  template <typename Visit>
  void for_each_piece(BlockRun run, Visit visit) const {
    while (run.count > 0) {
      const std::uint32_t group = layout().group_of(run.first);
      const auto first = static_cast<std::uint32_t>(run.first - layout().group_first(group));
      const std::uint64_t count = std::min<std::uint64_t>(run.count, layout().group_blocks() - first);
      visit(Piece{group, first, static_cast<std::uint32_t>(count)});
      run.first += count;
      run.count -= count;
    }
  }

  // bitmap_loading.cc. `lock` is held before and after, not while the device works; anything may have changed then, but
  // the group's bitmaps are there until it is dropped again.
  [[nodiscard]] Status load(Lock& lock, blockio::IoQueue& io, std::uint32_t group);
  [[nodiscard]] Status load_all(Lock& lock, blockio::IoQueue& io, BlockRun run);  // and pins them
  void unpin(BlockRun run);
  struct ReadBitmap {
    blockio::AlignedBuffer block;
    bool bad_copy = false;  // one copy was bad
  };
  [[nodiscard]] Result<ReadBitmap> read_bitmap(blockio::IoQueue& io, std::uint32_t group,
                                               const GroupRecord& record) const;
  [[nodiscard]] Status check_bitmap(std::uint32_t group, const GroupRecord& record,
                                    std::span<const std::byte> block) const;
  void install(std::uint32_t group, const ReadBitmap& read);
  void evict();
  [[nodiscard]] bool evictable(const Group& group) const noexcept;

  // searching.cc
  [[nodiscard]] std::uint32_t longest(std::uint32_t group, Purpose purpose) const noexcept {
    return groups[group].longest[static_cast<std::size_t>(purpose)];
  }
  void note_longest(Group& group, Purpose purpose, bool closed, std::uint32_t longest);
  [[nodiscard]] BlockNumber search_start(const AllocationRequest& request) const;
  [[nodiscard]] std::optional<BlockRun> take_at_goal(std::uint32_t group, const AllocationRequest& request);
  [[nodiscard]] std::optional<BlockRun> take_in_group(std::uint32_t group, std::uint32_t from, std::uint64_t wanted,
                                                      std::uint64_t acceptable, const AllocationRequest& request);
  BlockRun take(std::uint32_t group, Bitmap::Run run, const AllocationRequest& request);
  void rewind_metadata();

  // metadata_zones.cc
  // Of the chunks of so many blocks that a group, in memory, is made of, the one with the most that are free; none of
  // a chunk that touches a zone.
  struct Chunk {
    BlockRun run;
    std::uint64_t free = 0;
  };
  [[nodiscard]] std::optional<Chunk> emptiest_chunk(std::uint32_t group, std::uint64_t blocks) const;
  // `room`: free blocks, less what the zones chosen with it take of them.
  [[nodiscard]] std::optional<Chunk> choose_zone(std::uint32_t group, std::uint64_t most, std::uint64_t room) const;
  [[nodiscard]] static std::uint64_t room_taken(const Chunk& chunk);
  [[nodiscard]] std::vector<std::uint32_t> emptiest_groups() const;
  void open_zone(BlockRun zone);
  void forget_longest(BlockRun zone);
  // What data may not have in a group that zones touch; nothing for other groups, and for metadata.
  [[nodiscard]] std::optional<Bitmap> closed_to_data(std::uint32_t group, Purpose purpose) const;

  // What keeps the books, everywhere: the group's bitmaps are in memory.
  void commit_allocate(BlockRun run);
  void commit_free(BlockRun run);
  [[nodiscard]] bool all_committed(BlockRun run) const;
  void note_damage(const char* what, BlockRun run);
  void before_change(std::uint32_t group);  // of `committed`, by anyone but the checkpoint
  void mark_changed(std::uint32_t group);
  void mark_frozen(std::uint32_t group);
  void make_free(Piece piece);  // busy to free

  // growing.cc
  void gain(BlockRun run);
  void adopt_growth();
  // As the running checkpoint writes it.
  [[nodiscard]] const format::Layout& layout_to_come() const noexcept { return growth ? *growth : layout(); }

  [[nodiscard]] const format::Layout& layout() const noexcept { return layouts.get(); }

  CurrentLayout layouts;  // replaced with the mutex held
  const bool read_only;

  mutable std::mutex mutex;  // guards all below; nothing is locked and no device waited for while it is held
  GroupTable table;          // the checkpointer may read and stage without the mutex
  std::vector<Group> groups;
  std::uint64_t free_now = 0;
  std::uint64_t free_committed = 0;
  std::uint64_t waiting = 0;
  std::uint64_t healed = 0;
  bool damaged = false;

  std::vector<std::uint32_t> loaded;  // groups with bitmaps in memory
  std::size_t hand = 0;               // of eviction, into loaded
  BlockNumber data_cursor;
  std::array<BlockNumber, 2> metadata_cursors;  // of first and of second copies
  std::deque<BlockRun> metadata_zones;          // each in one group; the oldest first

  std::vector<std::uint32_t> changed_groups;
  std::vector<std::uint32_t> frozen_groups;
  bool checkpoint_running = false;
  std::optional<format::Layout> growth;  // what the running checkpoint makes of the volume; the checkpointer's own
  Generation frozen_generation;
  std::vector<BlockRun> freed;  // since the last freeze
  std::deque<std::pair<Generation, std::vector<BlockRun>>> freed_by_checkpoint;
};

}  // namespace ashlar::store
