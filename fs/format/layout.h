// Where the fixed parts of a volume lie. Blocks come in groups of block_size * 8, one bitmap block each; everything
// else that has a fixed place is: the head (64 KiB: nothing, superblocks), the second superblock copies (64 KiB at 8
// MiB), every group's four bitmap blocks, the group table, the log.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/superblock.h"

namespace ashlar::format {

inline constexpr std::uint32_t kGroupTableMagic = 0x476c'6841;  // "AhlG"

// One block of the group table. Two slots: the valid one of the higher generation not above the superblock's counts,
// and Superblock::group_table_crc proves the choice.
struct GroupTableHeader {
  le32 magic;
  le32 crc;  // of the whole block, itself taken as zero
  std::uint8_t uuid[16];
  le64 generation;
  le32 index;  // of this block in the table
  le32 count;  // entries here
  std::uint8_t reserved[24];
};
static_assert(sizeof(GroupTableHeader) == 64);

struct GroupEntry {
  le32 bitmap_crc;  // of the current slot's bitmap block
  le32 free_blocks;
  le64 generation;  // that wrote the bitmap
  le32 flags;       // kGroupInitialised, kGroupSlot
  le32 reserved0;
  le64 reserved1;
};
static_assert(sizeof(GroupEntry) == 32);
inline constexpr std::uint32_t kGroupInitialised =
    1;  // otherwise no bitmap was ever written: only the fixed blocks are in use
inline constexpr std::uint32_t kGroupSlot = 2;  // the current slot is 1

// Bit i of a bitmap block (byte i / 8, bit i % 8) is block i of its group; 1: in use. Bits past the volume's end are 1.

inline constexpr std::uint64_t kHeadBytes = 64ULL << 10;  // at the device's start and again at kSecondHead: superblocks
inline constexpr std::uint64_t kSecondHead = 8ULL << 20;
inline constexpr std::uint64_t kBitmapOffset = 64ULL << 10;  // bytes from a group's start to its bitmap blocks
inline constexpr std::uint64_t kBitmapBlocks = kSuperblockSlots * kCopies;  // in every group
inline constexpr std::uint64_t kMinLogBytes = 1ULL << 20;
inline constexpr std::uint64_t kMaxPlannedLogBytes = 64ULL << 20;

class Layout {
 public:
  // For mkfs: lays out a new volume. device_too_small below kMinVolumeBytes. Sizes must be powers of two in range.
  // invalid_argument when the volume has more groups than one group can hold the table of: 251 TiB with 4 KiB blocks,
  // 16 times as much with every doubling of the block size.
  [[nodiscard]] static Result<Layout> plan(std::uint64_t volume_bytes, std::uint32_t block_size,
                                           std::uint32_t node_size);
  // Of a validated superblock.
  [[nodiscard]] static Layout of(const Superblock& superblock) noexcept;
  // Puts into a superblock what of() reads there, and the length of the group table.
  void describe_in(Superblock& superblock) const noexcept;

  // The volume made larger: cut as plan() cuts it, as many blocks as before where nothing is gained. The log stays, and
  // the group table as long as it needs no more blocks; then each copy goes to the first room in what is gained, or,
  // where that has none, nowhere until place_group_table(). invalid_argument for fewer bytes than it has, and as
  // plan().
  [[nodiscard]] Result<Layout> grown(std::uint64_t volume_bytes) const;
  // The copy begins at `first`, with as many free blocks behind it as group_table_run() has, in one group.
  void place_group_table(std::size_t copy, BlockNumber first) noexcept;

  [[nodiscard]] std::uint32_t block_size() const noexcept { return block_size_; }
  [[nodiscard]] std::uint32_t node_size() const noexcept { return node_size_; }
  [[nodiscard]] std::uint32_t node_blocks() const noexcept { return node_size_ / block_size_; }
  [[nodiscard]] std::uint64_t block_count() const noexcept { return block_count_; }
  [[nodiscard]] std::uint32_t group_blocks() const noexcept { return block_size_ * 8; }
  [[nodiscard]] std::uint32_t group_count() const noexcept;
  [[nodiscard]] std::uint32_t blocks_in_group(std::uint32_t group) const noexcept;  // the last may be shorter
  [[nodiscard]] std::uint32_t group_of(BlockNumber block) const noexcept;
  [[nodiscard]] BlockNumber group_first(std::uint32_t group) const noexcept;
  [[nodiscard]] std::uint64_t byte_offset(BlockNumber block) const noexcept { return block.value() * block_size_; }

  // Copy 0 lies in the group itself, copy 1 in the next (the only group keeps both).
  [[nodiscard]] BlockNumber bitmap_block(std::uint32_t group, std::size_t slot, std::size_t copy) const noexcept;

  [[nodiscard]] std::uint32_t group_table_entries_per_block() const noexcept;
  [[nodiscard]] std::uint32_t group_table_blocks() const noexcept;  // in one slot of one copy
  [[nodiscard]] BlockNumber group_table_block(std::uint32_t index, std::size_t slot, std::size_t copy) const noexcept;
  [[nodiscard]] BlockNumber group_table_first(std::size_t copy) const noexcept { return group_table_[copy].first; }
  [[nodiscard]] BlockRun group_table_run(std::size_t copy) const noexcept { return group_table_[copy]; }  // both slots

  [[nodiscard]] BlockRun log() const noexcept { return log_; }

  // Whether any block of `run`, which lies in the volume, is a fixed part's.
  [[nodiscard]] bool touches_fixed(BlockRun run) const noexcept;
  // Every fixed part lies in the volume, the group table's copies and the log each in one group, and none overlaps
  // another.
  [[nodiscard]] Status check() const;

  // What of `group` is in use by fixed parts, ascending, not overlapping: the bitmap of a group never written.
  [[nodiscard]] std::vector<BlockRun> fixed_runs(std::uint32_t group) const;
  [[nodiscard]] std::uint64_t fixed_blocks() const;  // in the whole volume; cheap even at 16 TiB
  // Free blocks of an untouched group.
  [[nodiscard]] std::uint32_t initial_free_blocks(std::uint32_t group) const noexcept;
  // Fills block_size bytes with the bitmap of an untouched group; returns its free blocks.
  std::uint32_t initial_bitmap(std::uint32_t group, std::span<std::byte> bitmap) const;

 private:
  // Those that are not in every group: heads, group table copies, log.
  static constexpr std::size_t kSingleParts = 5;

  Layout() = default;

  [[nodiscard]] std::array<BlockRun, kSingleParts> single_parts() const noexcept;
  [[nodiscard]] BlockRun group_table_at(BlockNumber first) const noexcept;
  [[nodiscard]] BlockRun bitmap_run(std::uint32_t group) const noexcept;
  [[nodiscard]] std::optional<BlockNumber> find_room(std::uint64_t count, BlockNumber from) const noexcept;
  [[nodiscard]] Status place_parts();
  // Of a volume of `volume_bytes`, without a last group that is too short; a size that has too many groups is an error.
  [[nodiscard]] Status set_size(std::uint64_t volume_bytes);

  std::uint32_t block_size_ = 0;
  std::uint32_t node_size_ = 0;
  std::uint64_t block_count_ = 0;
  BlockRun group_table_[kCopies];  // both slots; empty until it is placed
  BlockRun log_;
};

void seal_group_table_block(std::span<std::byte> block) noexcept;
[[nodiscard]] Status validate_group_table_block(std::span<const std::byte> block, const std::uint8_t (&uuid)[16],
                                                std::uint32_t index, Generation not_above);

}  // namespace ashlar::format
