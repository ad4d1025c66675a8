#include "fs/ctl/space_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "fs/format/checksum.h"

namespace ashlar::ctl {

// The newest valid version among both slots and copies.
Status SpaceReader::read_table_block(std::uint32_t index) {
  table_index_.reset();
  std::uint64_t best_generation = 0;
  std::vector<std::byte> block(layout_.block_size());
  for (std::size_t place = 0; place < kSuperblockPlaces; ++place) {
    const BlockNumber at = layout_.group_table_block(index, slot_of_place(place), copy_of_place(place));
    if (!reader_.read(layout_.byte_offset(at), block)) continue;
    const Generation newest{superblock_.generation};
    if (!format::validate_group_table_block(block, superblock_.uuid, index, newest)) continue;
    const auto& header = *reinterpret_cast<const format::GroupTableHeader*>(block.data());
    if (table_index_ && header.generation <= best_generation) continue;
    best_generation = header.generation;
    const std::size_t room = (block.size() - sizeof header) / sizeof(format::GroupEntry);
    table_block_.resize(std::min<std::size_t>(header.count, room));
    std::memcpy(table_block_.data(), block.data() + sizeof header, table_block_.size() * sizeof(format::GroupEntry));
    table_index_ = index;
  }
  if (table_index_) return {};
  return fail(ErrorCode::bad_checksum, fmt::format("{}: no valid copy of group table block {}", reader_.path(), index));
}

Result<format::GroupEntry> SpaceReader::read_entry(std::uint32_t group) {
  const std::uint32_t per_block = layout_.group_table_entries_per_block();
  if (table_index_ != group / per_block) TRY(read_table_block(group / per_block));
  if (group % per_block < table_block_.size()) return table_block_[group % per_block];
  return fail(ErrorCode::corrupt_structure, fmt::format("{}: the group table has no group {}", reader_.path(), group));
}

Result<std::span<const std::byte>> SpaceReader::read_group(std::uint32_t group) {
  const format::GroupEntry entry = TRY(read_entry(group));
  if ((entry.flags & format::kGroupInitialised) == 0) {
    layout_.initial_bitmap(group, bitmap_);
    return std::span<const std::byte>(bitmap_);
  }
  const std::size_t slot = (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    const BlockNumber at = layout_.bitmap_block(group, slot, copy);
    if (reader_.read(layout_.byte_offset(at), bitmap_) && format::crc32c(bitmap_) == entry.bitmap_crc) {
      return std::span<const std::byte>(bitmap_);
    }
  }
  return fail(ErrorCode::bad_checksum,
              fmt::format("{}: no valid copy of the bitmap of group {}", reader_.path(), group));
}

}  // namespace ashlar::ctl
