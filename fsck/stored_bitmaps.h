// The group table and the bitmaps as they are on the device: both copies compared, a bad one reported and healed.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {

class StoredBitmaps {
 public:
  explicit StoredBitmaps(CheckContext& context);

  // All of the table. A block without a good copy is a fatal finding and leaves its entries zero.
  [[nodiscard]] Status read_table();
  [[nodiscard]] const format::GroupEntry& entry(std::uint32_t group) const { return entries_[group]; }
  // Whether the table says what of this group is in use: its block is there, and no older one that did not know yet.
  [[nodiscard]] bool is_known(std::uint32_t group) const {
    const bool is_there = table_slots_[group / layout_.group_table_entries_per_block()].has_value();
    return is_there && (is_proven_ || (entries_[group].flags & format::kGroupInitialised) != 0);
  }
  // The slot that holds the current version of a table block.
  [[nodiscard]] std::size_t table_slot(std::uint32_t index) const { return table_slots_[index].value_or(0); }
  [[nodiscard]] static std::size_t slot_of(const format::GroupEntry& entry) noexcept {
    return (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
  }

  // The group's bitmap into `bitmap`, one block; false when neither copy is good. Groups that are asked for in
  // ascending order are read many at a time.
  [[nodiscard]] Result<bool> load(std::uint32_t group, std::span<std::byte> bitmap);

 private:
  static constexpr std::size_t kBufferBytes = 4U << 20;
  static constexpr std::size_t kMostReads = 256;  // at once
  static constexpr std::size_t kTableCopies = format::kSuperblockSlots * format::kCopies;

  // A block that was read ahead.
  struct Block {
    blockio::IoOp read;
    std::span<std::byte> bytes;
  };

  // Reads blocks into the buffer, all at once; blocks_ has them in that order.
  void read(std::span<const BlockNumber> places);
  void read_bitmaps(std::uint32_t from);
  // What a mount would refuse of a table block's entries, whose checksum may be right all the same.
  void check_entries(std::uint32_t index, const format::GroupTableHeader& header);
  // The current version of a table block, of which all copies have been read; empty when there is none.
  [[nodiscard]] std::span<const std::byte> table_block(std::uint32_t index, std::span<const Block> copies);

  CheckContext& context_;
  const format::Layout& layout_;
  const std::size_t block_size_;
  blockio::AlignedBuffer buffer_;
  std::vector<Block> blocks_;
  std::vector<std::uint32_t> ahead_;  // groups whose bitmaps are in blocks_, ascending, copy 0 and 1 of each
  std::vector<format::GroupEntry> entries_;
  std::vector<std::optional<std::size_t>> table_slots_;  // none: the block is lost
  bool is_proven_ = false;
};

}  // namespace ashlar::fsck
