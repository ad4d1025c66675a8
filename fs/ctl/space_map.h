// The blocks of a volume counted for a picture: how full each part is, and how the free runs are distributed.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "fs/base/types.h"

namespace ashlar::ctl {

enum class BlockState : std::uint8_t { free, used, unknown };

class SpaceMap {
 public:
  // Equal parts of the volume; the last may be shorter.
  struct Cell {
    std::uint64_t used = 0;   // fixed parts included
    std::uint64_t fixed = 0;  // of those
    std::uint64_t unknown = 0;
  };
  struct FreeRuns {
    std::uint64_t count = 0;
    std::uint64_t blocks = 0;
  };
  static constexpr std::size_t kRunClasses = 64;

  SpaceMap(std::uint64_t blocks, std::uint64_t most_cells);

  // The next blocks, from 0 to the last one; finish() behind them. What goes beyond the volume's end is left out.
  void add(BlockState state, std::uint64_t count);
  void finish();
  // In any order.
  void mark_fixed(BlockRun run);

  [[nodiscard]] std::uint64_t cell_blocks() const noexcept { return cell_blocks_; }
  [[nodiscard]] const std::vector<Cell>& cells() const noexcept { return cells_; }
  [[nodiscard]] std::uint64_t blocks_in_cell(std::size_t cell) const noexcept;
  [[nodiscard]] Cell total() const;
  [[nodiscard]] FreeRuns free() const;
  [[nodiscard]] std::uint64_t longest_free_run() const noexcept { return longest_; }
  // By power of two: entry i has the runs of 2^i to 2^(i+1) - 1 blocks.
  [[nodiscard]] const std::array<FreeRuns, kRunClasses>& free_runs() const noexcept { return runs_; }

 private:
  void count(std::uint64_t first, std::uint64_t count, std::uint64_t Cell::*what);
  void end_free_run();

  std::uint64_t blocks_;
  std::uint64_t cell_blocks_;
  std::vector<Cell> cells_;
  std::uint64_t position_ = 0;
  std::uint64_t free_run_ = 0;  // that ends at `position_`
  std::uint64_t longest_ = 0;
  std::array<FreeRuns, kRunClasses> runs_{};
};

}  // namespace ashlar::ctl
