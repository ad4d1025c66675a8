// The group table and the bitmaps as they are on the device: both copies compared, a bad one reported and healed.
#pragma once

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
  // The slot that holds the current version of a table block.
  [[nodiscard]] std::size_t table_slot(std::uint32_t index) const { return table_slots_[index]; }
  [[nodiscard]] static std::size_t slot_of(const format::GroupEntry& entry) noexcept {
    return (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
  }

  // The group's bitmap into `bitmap`, one block; false when neither copy is good.
  [[nodiscard]] bool load(std::uint32_t group, std::span<std::byte> bitmap);

 private:
  [[nodiscard]] std::span<std::byte> image(std::size_t slot, std::size_t copy);
  [[nodiscard]] bool read(BlockNumber block, std::span<std::byte> into);
  [[nodiscard]] std::span<const std::byte> table_block(std::uint32_t index);

  CheckContext& context_;
  const format::Layout& layout_;
  const std::size_t block_size_;
  blockio::AlignedBuffer buffer_;
  std::vector<format::GroupEntry> entries_;
  std::vector<std::size_t> table_slots_;
};

}  // namespace ashlar::fsck
