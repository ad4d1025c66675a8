#include "fs/store/allocator/allocator.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>

#include "fs/base/log.h"
#include "fs/base/seeded_bug.h"
#include "fs/store/allocator/allocator_state.h"

namespace ashlar::store {

Allocator::State::State(const format::Superblock& superblock, GroupTable group_table, bool is_read_only)
    : layouts(format::Layout::of(superblock)),
      read_only(is_read_only),
      table(std::move(group_table)),
      groups(layout().group_count()),
      free_now(table.free_blocks()),
      free_committed(table.free_blocks()),
      healed(table.healed()) {
  for (std::uint32_t group = 0; group < groups.size(); ++group) {
    const std::uint32_t free_blocks = table[group].free_blocks;
    groups[group].free_now = free_blocks;
    groups[group].free_committed = free_blocks;
    groups[group].longest.fill(free_blocks);
  }
  rewind_metadata();
}

Allocator::Allocator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Allocator::~Allocator() = default;

Result<std::unique_ptr<Allocator>> Allocator::open(blockio::IoQueue& io, const format::Superblock& superblock,
                                                   bool read_only) {
  GroupTable table = TRY(GroupTable::read(io, superblock, read_only));
  return std::unique_ptr<Allocator>(new Allocator(std::make_unique<State>(superblock, std::move(table), read_only)));
}

bool Allocator::State::in_bounds(BlockRun run) const noexcept {
  return run.count != 0 && run.first.value() < layout().block_count() &&
         run.count <= layout().block_count() - run.first.value();
}

void Allocator::State::note_damage(const char* what, BlockRun run) {
  damaged = true;
  log(LogLevel::error, "blocks {}+{}: {}", run.first.value(), run.count, what);
}

void Allocator::State::mark_changed(std::uint32_t group) {
  if (std::exchange(groups[group].changed, true)) return;
  changed_groups.push_back(group);
}

void Allocator::State::mark_frozen(std::uint32_t group) {
  if (std::exchange(groups[group].frozen, true)) return;
  frozen_groups.push_back(group);
}

void Allocator::State::before_change(std::uint32_t group) {
  Bitmaps& bitmaps = *groups[group].bitmaps;
  if (checkpoint_running && !bitmaps.frozen) bitmaps.frozen = bitmaps.committed;
  mark_changed(group);
}

void Allocator::State::make_free(Piece piece) {
  Group& group = groups[piece.group];
  group.bitmaps->busy.clear(piece.first, piece.count);
  group.free_now += piece.count;
  group.longest.fill(group.free_now);  // it may have joined its neighbours: look again
  free_now += piece.count;
}

void Allocator::cancel(BlockRun run) {
  State& state = *state_;
  const std::scoped_lock lock(state.mutex);
  if (!state.in_bounds(run)) return state.note_damage("given back, but past the end of the volume", run);
  state.for_each_piece(run, [&](State::Piece piece) {
    const auto& bitmaps = state.groups[piece.group].bitmaps;
    if (!bitmaps || !bitmaps->busy.all_set(piece.first, piece.count) ||
        !bitmaps->committed.none_set(piece.first, piece.count)) {
      return state.note_damage("given back, but not taken", run);
    }
    state.make_free(piece);
  });
}

Status Allocator::pin(blockio::IoQueue& io, std::span<const BlockRun> runs) {
  if (runs.empty()) return {};
  State& state = *state_;
  State::Lock lock(state.mutex);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Status loaded = state.load_all(lock, io, runs[i]);
    if (loaded) continue;
    for (const BlockRun& pinned : runs.first(i)) state.unpin(pinned);
    return loaded;
  }
  return {};
}

void Allocator::unpin(std::span<const BlockRun> runs) {
  if (runs.empty()) return;
  const std::scoped_lock lock(state_->mutex);
  for (const BlockRun& run : runs) state_->unpin(run);
}

bool Allocator::State::all_committed(BlockRun run) const {
  bool in_use = true;
  for_each_piece(run, [&](Piece piece) {
    const auto& bitmaps = groups[piece.group].bitmaps;
    if (!bitmaps || !bitmaps->committed.all_set(piece.first, piece.count)) in_use = false;
  });
  return in_use;
}

Status Allocator::check_free(std::span<const BlockRun> runs) const {
  const State& state = *state_;
  const auto corrupt = [](BlockRun run, const char* what) {
    return fail(ErrorCode::corrupt_structure, fmt::format("blocks {}+{}: {}", run.first.value(), run.count, what));
  };
  for (const BlockRun& run : runs) {
    if (!state.in_bounds(run)) return corrupt(run, "past the end of the volume");
    if (state.layout().touches_fixed(run)) return corrupt(run, "given back, but a fixed part");
  }
  if (runs.size() > 1) {
    std::vector<BlockRun> sorted(runs.begin(), runs.end());
    std::sort(sorted.begin(), sorted.end(), [](const BlockRun& a, const BlockRun& b) { return a.first < b.first; });
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (sorted[i - 1].end() > sorted[i].first) return corrupt(sorted[i], "given back twice");
    }
  }
  const std::scoped_lock lock(state.mutex);
  for (const BlockRun& run : runs) {
    if (!state.all_committed(run)) return corrupt(run, "given back, but not in use");
  }
  return {};
}

void Allocator::commit(std::span<const BlockRun> allocated, std::span<const BlockRun> freed) {
  if (allocated.empty() && freed.empty()) return;
  const std::scoped_lock lock(state_->mutex);
  for (const BlockRun& run : allocated) state_->commit_allocate(run);
  for (const BlockRun& run : freed) state_->commit_free(run);
}

void Allocator::State::commit_allocate(BlockRun run) {
  if (!in_bounds(run)) return note_damage("committed, but past the end of the volume", run);
  for_each_piece(run, [&](Piece piece) {
    Group& group = groups[piece.group];
    if (!group.bitmaps || !group.bitmaps->busy.all_set(piece.first, piece.count) ||
        !group.bitmaps->committed.none_set(piece.first, piece.count)) {
      return note_damage("committed, but not taken", run);
    }
    before_change(piece.group);
    group.bitmaps->committed.set(piece.first, piece.count);
    group.free_committed -= piece.count;
    free_committed -= piece.count;
  });
}

void Allocator::State::commit_free(BlockRun run) {
  if (!in_bounds(run)) return note_damage("given back, but past the end of the volume", run);
  if (layout().touches_fixed(run)) return note_damage("given back, but a fixed part", run);
  if (!all_committed(run)) return note_damage("given back, but not in use", run);
  for_each_piece(run, [&](Piece piece) {
    Group& group = groups[piece.group];
    before_change(piece.group);
    group.bitmaps->committed.clear(piece.first, piece.count);
    group.free_committed += piece.count;
  });
  free_committed += run.count;
  if (has_bug(SeededBug::freed_block_reused)) {
    return for_each_piece(run, [&](Piece piece) { make_free(piece); });
  }
  waiting += run.count;
  freed.push_back(run);
}

Status Allocator::replay_allocate(blockio::IoQueue& io, BlockRun run) {
  State& state = *state_;
  State::Lock lock(state.mutex);
  TRY(state.load_all(lock, io, run));
  // Blocks that were freed in the same log are reusable only after a checkpoint, which would have ended it: they are
  // busy.
  bool free_blocks = true;
  state.for_each_piece(run, [&](State::Piece piece) {
    if (!state.groups[piece.group].bitmaps->busy.none_set(piece.first, piece.count)) free_blocks = false;
  });
  if (free_blocks) {
    state.for_each_piece(run, [&](State::Piece piece) {
      State::Group& group = state.groups[piece.group];
      state.before_change(piece.group);
      group.bitmaps->busy.set(piece.first, piece.count);
      group.bitmaps->committed.set(piece.first, piece.count);
      group.free_now -= piece.count;
      group.free_committed -= piece.count;
    });
    state.free_now -= run.count;
    state.free_committed -= run.count;
  }
  state.unpin(run);
  if (free_blocks) return {};
  return fail(ErrorCode::corrupt_structure,
              fmt::format("the log takes blocks {}+{}, which are in use", run.first.value(), run.count));
}

Status Allocator::replay_free(blockio::IoQueue& io, BlockRun run) {
  {
    State::Lock lock(state_->mutex);
    TRY(state_->load_all(lock, io, run));
  }
  Status outcome = check_free(std::span(&run, 1));
  if (outcome) commit({}, std::span(&run, 1));
  unpin(std::span(&run, 1));
  if (!outcome) return fail(std::move(outcome).error().with_context("log record"));
  return {};
}

bool Allocator::damaged() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->damaged;
}

std::uint64_t Allocator::free_now() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->free_now;
}

std::uint64_t Allocator::free_committed() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->free_committed;
}

std::uint64_t Allocator::waiting() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->waiting;
}

std::uint64_t Allocator::healed() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->healed;
}

}  // namespace ashlar::store
