#include "fsck/stored_bitmaps.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "fs/format/checksum.h"

namespace ashlar::fsck {

StoredBitmaps::StoredBitmaps(CheckContext& context)
    : context_(context),
      layout_(context.layout),
      block_size_(context.layout.block_size()),
      buffer_(format::kSuperblockSlots * format::kCopies * block_size_) {}

std::span<std::byte> StoredBitmaps::image(std::size_t slot, std::size_t copy) {
  return buffer_.span().subspan((slot * format::kCopies + copy) * block_size_, block_size_);
}
bool StoredBitmaps::read(BlockNumber block, std::span<std::byte> into) {
  blockio::IoOp op = blockio::IoOp::read(layout_.byte_offset(block), into);
  return context_.io.run(op).has_value();
}

Status StoredBitmaps::read_table() {
  if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
  entries_.assign(layout_.group_count(), {});
  table_slots_.assign(layout_.group_table_blocks(), 0);
  std::vector<format::le32> checksums;
  for (std::uint32_t index = 0; index < layout_.group_table_blocks(); ++index) {
    const std::span<const std::byte> block = table_block(index);
    if (block.empty()) {
      context_.report.add(FindingId::group_table_block_lost, index);
      continue;
    }
    format::GroupTableHeader header;
    std::memcpy(&header, block.data(), sizeof header);
    checksums.push_back(header.crc);
    const std::size_t first = std::size_t{index} * layout_.group_table_entries_per_block();
    const std::size_t count = std::min<std::size_t>(header.count, entries_.size() - std::min(first, entries_.size()));
    std::memcpy(&entries_[first], block.data() + sizeof header, count * sizeof(format::GroupEntry));
  }
  if (context_.report.is_fatal()) return {};
  if (format::crc32c(std::as_bytes(std::span(checksums))) != context_.superblock.group_table_crc) {
    context_.report.add(FindingId::group_table_unproven);
  }
  return {};
}

// The current version of a table block, empty when there is none.
std::span<const std::byte> StoredBitmaps::table_block(std::uint32_t index) {
  const Generation newest{context_.superblock.generation};
  struct Best {
    std::size_t slot;
    std::size_t copy;
    std::uint64_t generation;
  };
  std::optional<Best> best;
  for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      const std::span<std::byte> block = image(slot, copy);
      const bool valid = read(layout_.group_table_block(index, slot, copy), block) &&
                         format::validate_group_table_block(block, context_.superblock.uuid, index, newest).has_value();
      if (!valid) {
        std::fill(block.begin(), block.end(), std::byte{0});
        continue;
      }
      format::GroupTableHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      if (!best || header.generation > best->generation) best = Best{slot, copy, header.generation};
    }
  }
  if (!best) return {};
  table_slots_[index] = best->slot;
  const std::span<const std::byte> good = image(best->slot, best->copy);
  // One that is valid and older is as bad: its write was lost, or another's landed there.
  const std::size_t other = 1 - best->copy;
  if (std::memcmp(good.data(), image(best->slot, other).data(), block_size_) != 0) {
    context_.report.add(FindingId::group_table_copy_bad, index, other);
    context_.heal(layout_.byte_offset(layout_.group_table_block(index, best->slot, other)), good);
  }
  return good;
}

bool StoredBitmaps::load(std::uint32_t group, std::span<std::byte> bitmap) {
  const format::GroupEntry& entry = entries_[group];
  if ((entry.flags & format::kGroupInitialised) == 0) {
    layout_.initial_bitmap(group, bitmap);
    return true;
  }
  const std::size_t slot = slot_of(entry);
  std::array<bool, format::kCopies> good{};
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    good[copy] = read(layout_.bitmap_block(group, slot, copy), image(slot, copy)) &&
                 format::crc32c(image(slot, copy)) == entry.bitmap_crc;
  }
  if (!good[0] && !good[1]) {
    context_.report.add(FindingId::bitmap_lost, group);
    return false;
  }
  const std::size_t best = good[0] ? 0 : 1;
  if (!good[1 - best]) {
    context_.report.add(FindingId::bitmap_copy_bad, group, 1 - best);
    context_.heal(layout_.byte_offset(layout_.bitmap_block(group, slot, 1 - best)), image(slot, best));
  }
  std::memcpy(bitmap.data(), image(slot, best).data(), block_size_);
  return true;
}

}  // namespace ashlar::fsck
