#include "fsck/stored_bitmaps.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "fs/format/checksum.h"

namespace ashlar::fsck {

namespace {

// That there are of the table, in all slots and copies, or of the bitmaps' current versions.
std::size_t most_blocks(const format::Layout& layout) {
  return std::max(std::size_t{layout.group_table_blocks()} * format::kSuperblockSlots * format::kCopies,
                  std::size_t{layout.group_count()} * format::kCopies);
}

}  // namespace

StoredBitmaps::StoredBitmaps(CheckContext& context)
    : context_(context),
      layout_(context.layout),
      block_size_(context.layout.block_size()),
      buffer_(std::min({kBufferBytes, kMostReads * block_size_, most_blocks(context.layout) * block_size_})) {
  static_assert(kBufferBytes / format::kMaxBlockSize >= kTableCopies);
}

void StoredBitmaps::read(std::span<const BlockNumber> places) {
  ahead_.clear();
  blocks_.assign(places.size(), {});
  std::vector<blockio::IoOp*> reads;
  for (std::size_t i = 0; i < places.size(); ++i) {
    blocks_[i].bytes = buffer_.span().subspan(i * block_size_, block_size_);
    blocks_[i].read = blockio::IoOp::read(layout_.byte_offset(places[i]), blocks_[i].bytes);
    reads.push_back(&blocks_[i].read);
  }
  static_cast<void>(context_.io.run(reads).has_value());  // each read's own outcome counts
}

Status StoredBitmaps::read_table() {
  if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
  entries_.assign(layout_.group_count(), {});
  table_slots_.assign(layout_.group_table_blocks(), std::nullopt);
  std::vector<format::le32> checksums;
  const std::size_t most = buffer_.size() / block_size_ / kTableCopies;
  std::vector<BlockNumber> places;
  for (std::uint32_t begin = 0; begin < layout_.group_table_blocks(); begin += static_cast<std::uint32_t>(most)) {
    const std::size_t count = std::min<std::size_t>(most, layout_.group_table_blocks() - begin);
    places.clear();
    for (std::size_t i = 0; i < count * kTableCopies; ++i) {
      const std::size_t slot = i / format::kCopies % format::kSuperblockSlots;
      const std::uint32_t index = begin + static_cast<std::uint32_t>(i / kTableCopies);
      places.push_back(layout_.group_table_block(index, slot, i % format::kCopies));
    }
    read(places);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t index = begin + static_cast<std::uint32_t>(i);
      const auto block = table_block(index, std::span(blocks_).subspan(i * kTableCopies, kTableCopies));
      if (block.empty()) {
        context_.report.add(FindingId::group_table_block_lost, index);
        continue;
      }
      format::GroupTableHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      checksums.push_back(header.crc);
      const std::size_t first = std::size_t{index} * layout_.group_table_entries_per_block();
      const std::size_t entries =
          std::min<std::size_t>(header.count, entries_.size() - std::min(first, entries_.size()));
      std::memcpy(&entries_[first], block.data() + sizeof header, entries * sizeof(format::GroupEntry));
      check_entries(index, header);
    }
  }
  if (context_.report.is_fatal()) return {};
  is_proven_ = format::crc32c(std::as_bytes(std::span(checksums))) == context_.superblock.group_table_crc;
  if (!is_proven_) context_.report.add(FindingId::group_table_unproven);
  return {};
}

void StoredBitmaps::check_entries(std::uint32_t index, const format::GroupTableHeader& header) {
  const std::uint32_t per_block = layout_.group_table_entries_per_block();
  const std::uint32_t first = index * per_block;
  const std::uint32_t count = std::min(per_block, layout_.group_count() - first);
  const auto bad = [this](std::uint32_t group, std::string_view why) {
    context_.report.add(FindingId::group_entry_bad, group, why);
  };
  if (header.count != count) bad(first, "its block tells of another number of groups");
  for (std::uint32_t group = first; group < first + count; ++group) {
    if ((entries_[group].flags & ~(format::kGroupInitialised | format::kGroupSlot)) != 0) bad(group, "unknown flags");
    if (entries_[group].generation > context_.superblock.generation) bad(group, "its bitmap is newer than the volume");
  }
}

std::span<const std::byte> StoredBitmaps::table_block(std::uint32_t index, std::span<const Block> copies) {
  const Generation newest{context_.superblock.generation};
  std::optional<std::size_t> best;  // among the copies
  std::uint64_t best_generation = 0;
  for (std::size_t i = 0; i < kTableCopies; ++i) {
    const std::span<const std::byte> block = copies[i].bytes;
    if (!copies[i].read.ok() || !format::validate_group_table_block(block, context_.superblock.uuid, index, newest))
      continue;
    format::GroupTableHeader header;
    std::memcpy(&header, block.data(), sizeof header);
    if (best && header.generation <= best_generation) continue;
    best = i;
    best_generation = header.generation;
  }
  if (!best) return {};
  const std::size_t slot = *best / format::kCopies;
  const std::size_t other = 1 - *best % format::kCopies;
  table_slots_[index] = slot;
  const std::span<const std::byte> good = copies[*best].bytes;
  // One that is valid and older is as bad: its write was lost, or another's landed there.
  const Block& beside = copies[slot * format::kCopies + other];
  if (!beside.read.ok() || !std::ranges::equal(good, beside.bytes)) {
    context_.report.add(FindingId::group_table_copy_bad, index, other);
    context_.heal(context_.report.last(), layout_.byte_offset(layout_.group_table_block(index, slot, other)), good);
  }
  return good;
}

// Of the next groups that have one, both copies.
void StoredBitmaps::read_bitmaps(std::uint32_t from) {
  std::vector<BlockNumber> places;
  std::vector<std::uint32_t> groups;
  const std::size_t most = buffer_.size() / block_size_;
  for (std::uint32_t group = from; group < layout_.group_count() && places.size() + format::kCopies <= most; ++group) {
    const format::GroupEntry& entry = entries_[group];
    if ((entry.flags & format::kGroupInitialised) == 0) continue;
    groups.push_back(group);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy)
      places.push_back(layout_.bitmap_block(group, slot_of(entry), copy));
  }
  read(places);
  ahead_ = std::move(groups);
}

Result<bool> StoredBitmaps::load(std::uint32_t group, std::span<std::byte> bitmap) {
  if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
  const format::GroupEntry& entry = entries_[group];
  if ((entry.flags & format::kGroupInitialised) == 0) {
    layout_.initial_bitmap(group, bitmap);
    return true;
  }
  if (!std::binary_search(ahead_.begin(), ahead_.end(), group)) read_bitmaps(group);
  const auto at = std::lower_bound(ahead_.begin(), ahead_.end(), group) - ahead_.begin();
  const std::span<const Block> copies = std::span(blocks_).subspan(static_cast<std::size_t>(at) * format::kCopies, 2);
  std::array<bool, format::kCopies> good{};
  for (std::size_t copy = 0; copy < format::kCopies; ++copy)
    good[copy] = copies[copy].read.ok() && format::crc32c(copies[copy].bytes) == entry.bitmap_crc;
  if (!good[0] && !good[1]) {
    context_.report.add(FindingId::bitmap_lost, group);
    return false;
  }
  const std::size_t best = good[0] ? 0 : 1;
  if (!good[1 - best]) {
    context_.report.add(FindingId::bitmap_copy_bad, group, 1 - best);
    const BlockNumber place = layout_.bitmap_block(group, slot_of(entry), 1 - best);
    context_.heal(context_.report.last(), layout_.byte_offset(place), copies[best].bytes);
  }
  std::ranges::copy(copies[best].bytes, bitmap.begin());
  return true;
}

}  // namespace ashlar::fsck
