// Mistakes that a test's build of these libraries makes when asked, so that the crash tests prove that they would be
// noticed. In every other build the question is answered `no` at compile time and nothing of it remains.
#pragma once

#include <cstdint>

namespace ashlar {

enum class SeededBug : std::uint8_t {
  none,
  checkpoint_not_flushed,    // the superblock is written without a flush after what it speaks of
  superblock_not_flushed,    // what a checkpoint freed is used before its superblock is on the medium
  superblock_before_nodes,   // the superblock is written first
  bitmap_in_place,           // one slot instead of two in turn
  freed_block_reused,        // before the checkpoint that freed it
  log_lap_overwritten,       // the log does not wait for a checkpoint when it is full
  log_chunk_rewritten,       // what was synced last is written again, in place, with what came after it
  log_write_not_durable,     // fsync without flush
  sync_without_write,        // fsync that only remembers
  log_checksum_unchecked,    // recovery believes a torn log chunk
  data_checksum_unchecked,   // recovery believes that data arrived because its record did
  recovery_repeats_epoch,    // the recovered log goes on where it began, under the same number
  recovery_forgets_frees,    // replay gives no blocks back
  gathered_data_left_out,    // a log write does not wait for small writes still in memory
  data_flush_left_out,       // data without checksums is named before it is on the medium
  orphan_lost,               // nothing remembers an inode that lost its last name while open
  truncation_not_remembered  // nothing remembers a removal of extents that takes several transactions
};

#ifdef ASHLAR_SEEDED_BUGS
// The one that is active. Set while no volume is open.
inline SeededBug& active_bug() noexcept {
  static SeededBug bug = SeededBug::none;
  return bug;
}
[[nodiscard]] inline bool has_bug(SeededBug bug) noexcept { return active_bug() == bug; }
#else
[[nodiscard]] constexpr bool has_bug(SeededBug /*bug*/) noexcept { return false; }
#endif

}  // namespace ashlar
