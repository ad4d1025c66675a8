#include "fs/ctl/space_map.h"

#include <algorithm>
#include <bit>

namespace ashlar::ctl {
namespace {

constexpr std::uint64_t parts_of(std::uint64_t whole, std::uint64_t part) {
  return whole / part + (whole % part != 0 ? 1 : 0);
}

}  // namespace

SpaceMap::SpaceMap(std::uint64_t blocks, std::uint64_t most_cells)
    : blocks_(blocks),
      cell_blocks_(std::max<std::uint64_t>(1, parts_of(blocks, std::max<std::uint64_t>(1, most_cells)))),
      cells_(parts_of(blocks, cell_blocks_)) {}

void SpaceMap::add(BlockState state, std::uint64_t count) {
  count = std::min(count, blocks_ - position_);
  if (state == BlockState::free) {
    free_run_ += count;
  } else if (count != 0) {
    end_free_run();
    this->count(position_, count, state == BlockState::used ? &Cell::used : &Cell::unknown);
  }
  position_ += count;
}

void SpaceMap::finish() { end_free_run(); }

void SpaceMap::end_free_run() {
  if (free_run_ == 0) return;
  FreeRuns& runs = runs_[static_cast<std::size_t>(std::bit_width(free_run_)) - 1];
  ++runs.count;
  runs.blocks += free_run_;
  longest_ = std::max(longest_, free_run_);
  free_run_ = 0;
}

void SpaceMap::mark_fixed(BlockRun run) { count(run.first.value(), run.count, &Cell::fixed); }

void SpaceMap::count(std::uint64_t first, std::uint64_t count, std::uint64_t Cell::*what) {
  const std::uint64_t end = std::min(blocks_, first + count);
  while (first < end) {
    const std::uint64_t cell = first / cell_blocks_;
    const std::uint64_t next = std::min(end, (cell + 1) * cell_blocks_);
    cells_[cell].*what += next - first;
    first = next;
  }
}

std::uint64_t SpaceMap::blocks_in_cell(std::size_t cell) const noexcept {
  return std::min(cell_blocks_, blocks_ - cell * cell_blocks_);
}

SpaceMap::Cell SpaceMap::total() const {
  Cell sum;
  for (const Cell& cell : cells_) {
    sum.used += cell.used;
    sum.fixed += cell.fixed;
    sum.unknown += cell.unknown;
  }
  return sum;
}

SpaceMap::FreeRuns SpaceMap::free() const {
  FreeRuns sum;
  for (const FreeRuns& runs : runs_) {
    sum.count += runs.count;
    sum.blocks += runs.blocks;
  }
  return sum;
}

}  // namespace ashlar::ctl
