// The allocator's part of growing the volume. What is gained in the group that was the last one, and what the group
// table leaves behind, is freed as anything else: it is reused when the superblock that knows of it is durable. Whole
// new groups are not there at all before that.
#include <algorithm>
#include <vector>

#include "fs/store/allocator/allocator_state.h"

namespace ashlar::store {
namespace {

// The groups there are whose bitmaps become others, ascending.
std::vector<std::uint32_t> groups_that_change(const format::Layout& old, const Growth& growth) {
  // The last one: it becomes longer, or the second copy of its bitmap gets another place.
  std::vector<std::uint32_t> groups{old.group_count() - 1};
  if (old.group_table_blocks() != growth.layout.group_table_blocks()) {
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      groups.push_back(old.group_of(old.group_table_first(copy)));
    }
  }
  for (const BlockRun& table : growth.tables) groups.push_back(old.group_of(table.first));
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

// The blocks of old groups that become free.
std::vector<BlockRun> runs_gained(const format::Layout& old, const format::Layout& grown) {
  std::vector<BlockRun> runs;
  const std::uint32_t last = old.group_count() - 1;
  const std::uint32_t before = old.blocks_in_group(last);
  BlockRun tail{old.group_first(last) + before, grown.blocks_in_group(last) - before};
  // A copy of the group table may lie in it.
  std::vector<BlockRun> tables;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) tables.push_back(grown.group_table_run(copy));
  std::sort(tables.begin(), tables.end(), [](const BlockRun& a, const BlockRun& b) { return a.first < b.first; });
  for (const BlockRun& table : tables) {
    if (table.first < tail.first || table.first >= tail.end()) continue;
    if (table.first > tail.first) runs.push_back({tail.first, table.first - tail.first});
    tail = {table.end(), tail.end() - table.end()};
  }
  if (tail.count != 0) runs.push_back(tail);
  if (old.group_table_blocks() == grown.group_table_blocks()) return runs;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) runs.push_back(old.group_table_run(copy));
  return runs;
}

}  // namespace

Status Allocator::hold_for_growth(blockio::IoQueue& io, Growth& growth) {
  State& state = *state_;
  State::Lock lock(state.mutex);
  for (const std::uint32_t group : groups_that_change(state.layout(), growth)) {
    TRY(state.load(lock, io, group));
    ++state.groups[group].bitmaps->pins;
    growth.held.push_back(group);
  }
  return {};
}

void Allocator::release_hold(Growth& growth) {
  const std::scoped_lock lock(state_->mutex);
  for (const std::uint32_t group : growth.held) --state_->groups[group].bitmaps->pins;
  growth.held.clear();
}

void Allocator::begin_growth(Growth& growth) {
  State& state = *state_;
  const std::scoped_lock lock(state.mutex);
  const format::Layout& old = state.layout();
  for (const std::uint32_t group : growth.held) state.mark_changed(group);
  for (const BlockRun& run : growth.tables) state.commit_allocate(run);
  for (const BlockRun& run : runs_gained(old, growth.layout)) state.gain(run);
  state.growth = growth.layout;
  state.table.stage_growth(growth.layout);
  growth.begun = true;
}

// In use until now, though by nobody's transaction.
void Allocator::State::gain(BlockRun run) {
  for_each_piece(run, [&](Piece piece) {
    Group& group = groups[piece.group];
    group.bitmaps->committed.clear(piece.first, piece.count);
    group.free_committed += piece.count;
  });
  free_committed += run.count;
  waiting += run.count;
  freed.push_back(run);
}

// The superblock is durable.
void Allocator::State::adopt_growth() {
  if (!growth) return;
  const std::uint32_t before = layout().group_count();
  layouts.replace(*growth);
  growth.reset();
  groups.resize(layout().group_count());
  for (std::uint32_t index = before; index < groups.size(); ++index) {
    const std::uint32_t free_blocks = table[index].free_blocks;
    Group& group = groups[index];
    group.free_now = group.free_committed = free_blocks;
    group.longest.fill(free_blocks);
    free_now += free_blocks;
    free_committed += free_blocks;
  }
}

}  // namespace ashlar::store
