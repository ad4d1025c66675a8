// The allocator's part of a checkpoint.
#include <fmt/core.h>

#include <algorithm>

#include "blockio/aligned_buffer.h"
#include "fs/base/seeded_bug.h"
#include "fs/format/checksum.h"
#include "fs/store/allocator/allocator_state.h"

namespace ashlar::store {
namespace {

// Bitmaps written at a time.
constexpr std::size_t kWriteBatch = 64;
// Runs given back at a time, so that others get the lock in between.
constexpr std::size_t kReleaseBatch = 1024;

}  // namespace

void Allocator::freeze(Generation generation) {
  State& state = *state_;
  const std::scoped_lock lock(state.mutex);
  state.checkpoint_running = true;
  state.frozen_generation = generation;
  for (const std::uint32_t group : std::exchange(state.changed_groups, {})) {
    state.groups[group].changed = false;
    state.mark_frozen(group);
  }
  state.freed_by_checkpoint.emplace_back(generation, std::exchange(state.freed, {}));
}

Status Allocator::commit_node_allocate(blockio::IoQueue& io, BlockRun run) {
  State& state = *state_;
  State::Lock lock(state.mutex);
  TRY(state.load_all(lock, io, run));
  bool taken = true;
  state.for_each_piece(run, [&](State::Piece piece) {
    const State::Bitmaps& bitmaps = *state.groups[piece.group].bitmaps;
    if (!bitmaps.busy.all_set(piece.first, piece.count) || !bitmaps.committed.none_set(piece.first, piece.count)) {
      taken = false;
    }
  });
  if (taken) {
    state.for_each_piece(run, [&](State::Piece piece) {
      State::Group& group = state.groups[piece.group];
      group.bitmaps->committed.set(piece.first, piece.count);
      if (group.bitmaps->frozen) group.bitmaps->frozen->set(piece.first, piece.count);
      group.free_committed -= piece.count;
      state.mark_frozen(piece.group);
    });
    state.free_committed -= run.count;
  }
  state.unpin(run);
  if (taken) return {};
  return fail(ErrorCode::corrupt_structure,
              fmt::format("a node was put into blocks {}+{}, which were not taken", run.first.value(), run.count));
}

Status Allocator::commit_node_free(blockio::IoQueue& io, BlockRun run) {
  State& state = *state_;
  {
    State::Lock lock(state.mutex);
    TRY(state.load_all(lock, io, run));
  }
  Status outcome = check_free(std::span(&run, 1));
  const std::scoped_lock lock(state.mutex);
  if (outcome) {
    state.for_each_piece(run, [&](State::Piece piece) {
      State::Group& group = state.groups[piece.group];
      group.bitmaps->committed.clear(piece.first, piece.count);
      if (group.bitmaps->frozen) group.bitmaps->frozen->clear(piece.first, piece.count);
      group.free_committed += piece.count;
      state.mark_frozen(piece.group);
    });
    state.free_committed += run.count;
    state.waiting += run.count;
    (state.checkpoint_running ? state.freed_by_checkpoint.back().second : state.freed).push_back(run);
  }
  state.unpin(run);
  return outcome;
}

Result<FrozenTotals> Allocator::write_frozen(blockio::IoQueue& io) {
  State& state = *state_;
  if (damaged()) return fail(ErrorCode::corrupt_structure, "the block bitmaps cannot be trusted any more");
  std::sort(state.frozen_groups.begin(), state.frozen_groups.end());
  const std::span<const std::uint32_t> groups = state.frozen_groups;
  const std::size_t block_size = state.layout().block_size();
  blockio::AlignedBuffer buffer(std::max<std::size_t>(std::min(kWriteBatch, groups.size()), 1) * block_size);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);

  for (std::size_t done = 0; done < groups.size(); done += kWriteBatch) {
    const std::span<const std::uint32_t> batch = groups.subspan(done, std::min(kWriteBatch, groups.size() - done));
    {
      const std::scoped_lock lock(state.mutex);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const State::Bitmaps& bitmaps = *state.groups[batch[i]].bitmaps;
        const Bitmap& bits = bitmaps.frozen ? *bitmaps.frozen : bitmaps.committed;
        bits.store(buffer.span().subspan(i * block_size, block_size));
      }
    }
    std::vector<blockio::IoOp> ops;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::span<const std::byte> block = buffer.span().subspan(i * block_size, block_size);
      const GroupRecord& old = state.table[batch[i]];
      GroupRecord record;
      record.generation = state.frozen_generation;
      record.bitmap_crc = format::crc32c(block);
      record.free_blocks = Bitmap(block).count_clear();
      record.initialised = true;
      record.slot = static_cast<std::uint8_t>(old.initialised ? 1U - old.slot : 0U);
      if (has_bug(SeededBug::bitmap_in_place)) record.slot = old.slot;
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        const BlockNumber at = state.layout_to_come().bitmap_block(batch[i], record.slot, copy);
        ops.push_back(blockio::IoOp::write(state.layout().byte_offset(at), block));
      }
      state.table.stage(batch[i], record);
    }
    std::vector<blockio::IoOp*> pointers;
    for (blockio::IoOp& op : ops) pointers.push_back(&op);
    TRY(io.run(pointers));
  }
  FrozenTotals totals;
  totals.group_table_crc = TRY(state.table.write_staged(io, state.frozen_generation));
  totals.free_blocks = state.table.staged_free_blocks();
  return totals;
}

void Allocator::finish_frozen() {
  State& state = *state_;
  const std::scoped_lock lock(state.mutex);
  state.table.adopt_staged();
  state.adopt_growth();
  for (const std::uint32_t group : std::exchange(state.frozen_groups, {})) state.groups[group].frozen = false;
  // Whatever was copied changed after the freeze.
  for (const std::uint32_t group : state.changed_groups) state.groups[group].bitmaps->frozen.reset();
  state.checkpoint_running = false;
}

void Allocator::release_freed(Generation generation) {
  State& state = *state_;
  for (;;) {
    const std::scoped_lock lock(state.mutex);
    if (state.freed_by_checkpoint.empty() || state.freed_by_checkpoint.front().first > generation) break;
    std::vector<BlockRun>& runs = state.freed_by_checkpoint.front().second;
    for (std::size_t released = 0; released < kReleaseBatch && !runs.empty(); ++released) {
      // Freed blocks are busy and not committed, which keeps their bitmaps in memory.
      state.for_each_piece(runs.back(), [&state](State::Piece piece) { state.make_free(piece); });
      state.waiting -= runs.back().count;
      runs.pop_back();
    }
    if (runs.empty()) state.freed_by_checkpoint.pop_front();
  }
  const std::scoped_lock lock(state.mutex);
  state.rewind_metadata();
}

}  // namespace ashlar::store
