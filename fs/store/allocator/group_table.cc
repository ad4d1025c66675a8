#include "fs/store/allocator/group_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "fs/base/log.h"
#include "fs/format/checksum.h"

namespace ashlar::store {
namespace {

// Table blocks are read and written in stretches of this many bytes.
constexpr std::size_t kStretchBytes = 256U << 10;
constexpr std::size_t kPlaces = format::kSuperblockSlots * format::kCopies;

// Entries in a block.
std::uint32_t records_in(const format::Layout& layout, std::uint32_t index) noexcept {
  const std::uint32_t per_block = layout.group_table_entries_per_block();
  return std::min(per_block, layout.group_count() - index * per_block);
}

// Of a group that never had a bitmap.
GroupRecord untouched(const format::Layout& layout, std::uint32_t group) {
  GroupRecord record;
  record.free_blocks = layout.initial_free_blocks(group);
  return record;
}

constexpr std::size_t place_of(std::size_t slot, std::size_t copy) { return slot * format::kCopies + copy; }

}  // namespace

GroupTable::GroupTable(const format::Superblock& superblock, bool read_only)
    : layout_(format::Layout::of(superblock)),
      generation_(superblock.generation),
      expected_free_(superblock.free_blocks),
      expected_crc_(superblock.group_table_crc),
      read_only_(read_only),
      records_(layout_.group_count()),
      blocks_(layout_.group_table_blocks()) {
  std::memcpy(uuid_, superblock.uuid, sizeof uuid_);
}

Result<GroupTable> GroupTable::read(blockio::IoQueue& io, const format::Superblock& superblock, bool read_only) {
  GroupTable table(superblock, read_only);
  TRY(table.read_blocks(io));
  return table;
}

Status GroupTable::read_blocks(blockio::IoQueue& io) {
  const std::size_t block_size = layout_.block_size();
  const auto stretch = static_cast<std::uint32_t>(std::max<std::size_t>(kStretchBytes / block_size, 1));
  const auto count = static_cast<std::uint32_t>(blocks_.size());
  blockio::AlignedBuffer buffer(std::min(stretch, count) * block_size * kPlaces);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);

  std::vector<BadCopy> bad;
  for (std::uint32_t first = 0; first < count; first += stretch) {
    const std::uint32_t blocks = std::min(stretch, count - first);
    const std::size_t bytes = blocks * block_size;
    std::array<blockio::IoOp, kPlaces> ops;
    std::array<blockio::IoOp*, kPlaces> pointers{};
    for (std::size_t place = 0; place < kPlaces; ++place) {
      const BlockNumber at = layout_.group_table_block(first, place / format::kCopies, place % format::kCopies);
      ops[place] = blockio::IoOp::read(layout_.byte_offset(at), buffer.span().subspan(place * bytes, bytes));
      pointers[place] = &ops[place];
    }
    const bool all_read = io.run(pointers).has_value();

    for (std::uint32_t i = 0; i < blocks; ++i) {
      std::array<Candidate, kPlaces> candidates;
      for (std::size_t place = 0; place < kPlaces; ++place) {
        const std::span<std::byte> block = buffer.span().subspan(place * bytes + i * block_size, block_size);
        bool readable = all_read || ops[place].ok();
        if (!readable) {
          // One bad sector fails the whole stretch: block by block then.
          const BlockNumber at = layout_.group_table_block(first + i, place / format::kCopies, place % format::kCopies);
          blockio::IoOp single = blockio::IoOp::read(layout_.byte_offset(at), block);
          readable = io.run(single).has_value();
        }
        candidates[place] = examine(first + i, block, readable);
      }
      TRY(choose(first + i, candidates, bad));
    }
  }
  TRY(check_against_superblock());
  heal(io, bad);
  return {};
}

GroupTable::Candidate GroupTable::examine(std::uint32_t index, std::span<const std::byte> block, bool readable) const {
  Candidate candidate;
  candidate.block = block;
  candidate.readable = readable;
  if (!readable) {
    candidate.valid = fail(ErrorCode::io_error, fmt::format("group table block {} cannot be read", index));
    return candidate;
  }
  candidate.valid = format::validate_group_table_block(block, uuid_, index, Generation{~0ULL});
  format::GroupTableHeader header;
  std::memcpy(&header, block.data(), sizeof header);
  candidate.generation = Generation{header.generation};
  candidate.crc = header.crc;
  return candidate;
}

Status GroupTable::choose(std::uint32_t index, std::span<const Candidate> candidates, std::vector<BadCopy>& bad) {
  std::optional<std::size_t> best;
  for (std::size_t place = 0; place < candidates.size(); ++place) {
    const Candidate& candidate = candidates[place];
    if (!candidate.valid || candidate.generation > generation_) continue;
    if (!best || candidate.generation > candidates[*best].generation) best = place;
  }
  if (!best) {
    const Candidate& first = candidates.front();
    return fail(first.valid ? ErrorCode::stale_block : first.valid.error().code(),
                fmt::format("group table block {} has no valid copy", index));
  }
  const Candidate& chosen = candidates[*best];
  BlockState& state = blocks_[index];
  state.slot = static_cast<std::uint8_t>(*best / format::kCopies);
  state.crc = chosen.crc;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    const Candidate& twin = candidates[place_of(state.slot, copy)];
    if (!twin.valid || twin.crc != chosen.crc) bad.push_back({index, static_cast<std::uint8_t>(copy)});
    const Candidate& other = candidates[place_of(1U - state.slot, copy)];
    if (!other.readable || (other.valid && other.generation >= generation_)) state.overwrite = true;
  }
  return load_records(index, chosen.block);
}

Status GroupTable::load_records(std::uint32_t index, std::span<const std::byte> block) {
  const auto corrupt = [index](std::uint32_t group, const char* what) {
    return fail(ErrorCode::corrupt_structure, fmt::format("group table block {}, group {}: {}", index, group, what));
  };
  format::GroupTableHeader header;
  std::memcpy(&header, block.data(), sizeof header);
  const std::uint32_t first = index * layout_.group_table_entries_per_block();
  if (header.count != records_in(layout_, index)) return corrupt(first, "wrong number of groups");
  for (std::uint32_t i = 0; i < header.count; ++i) {
    format::GroupEntry entry;
    std::memcpy(&entry, block.data() + sizeof header + i * sizeof entry, sizeof entry);
    const std::uint32_t group = first + i;
    if ((entry.flags & ~(format::kGroupInitialised | format::kGroupSlot)) != 0) return corrupt(group, "unknown flags");
    if (entry.free_blocks > layout_.blocks_in_group(group)) return corrupt(group, "more free blocks than blocks");
    if (entry.generation > generation_.value()) return corrupt(group, "bitmap newer than the volume");
    GroupRecord& record = records_[group];
    record.generation = Generation{entry.generation};
    record.bitmap_crc = entry.bitmap_crc;
    record.free_blocks = entry.free_blocks;
    record.initialised = (entry.flags & format::kGroupInitialised) != 0;
    record.slot = (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
    free_blocks_ += record.free_blocks;
  }
  staged_free_blocks_ = free_blocks_;
  return {};
}

Status GroupTable::check_against_superblock() const {
  if (crc_with_staged() != expected_crc_) {
    return fail(ErrorCode::stale_block, "the group table is not the one that the superblock speaks of");
  }
  if (free_blocks_ != expected_free_) {
    return fail(ErrorCode::corrupt_structure,
                fmt::format("the superblock has {} free blocks, the group table {}", expected_free_, free_blocks_));
  }
  return {};
}

void GroupTable::heal(blockio::IoQueue& io, std::span<const BadCopy> bad) {
  for (const BadCopy& copy : bad) {
    log(LogLevel::warning, "group table block {}: copy {} is bad{}", copy.index, copy.copy,
        read_only_ ? "" : ", writing it anew");
    if (read_only_) continue;
    if (Status healed = heal_copy(io, copy); healed) {
      ++healed_;
    } else {
      log(LogLevel::error, "group table block {}: copy {}: {}", copy.index, copy.copy, healed.error().message());
    }
  }
}

Status GroupTable::heal_copy(blockio::IoQueue& io, const BadCopy& bad) {
  const BlockState& state = blocks_[bad.index];
  const auto offset = [&](std::size_t copy) {
    return layout_.byte_offset(layout_.group_table_block(bad.index, state.slot, copy));
  };
  blockio::AlignedBuffer block(layout_.block_size());
  if (block.empty()) return fail(ErrorCode::out_of_memory);
  blockio::IoOp read = blockio::IoOp::read(offset(1U - bad.copy), block.span());
  TRY(io.run(read));
  const Candidate good = examine(bad.index, block.span(), true);
  if (!good.valid || good.crc != state.crc) return fail(ErrorCode::bad_checksum, "the good copy changed");
  blockio::IoOp write = blockio::IoOp::write(offset(bad.copy), block.span());
  return io.run(write);
}

void GroupTable::stage_growth(const format::Layout& layout) {
  growth_ = layout;
  for (auto group = static_cast<std::uint32_t>(records_.size()); group < layout.group_count(); ++group) {
    staged_free_blocks_ += layout.initial_free_blocks(group);
  }
}

void GroupTable::stage(std::uint32_t group, const GroupRecord& record) {
  staged_free_blocks_ = staged_free_blocks_ - records_[group].free_blocks + record.free_blocks;
  staged_.push_back({group, record});
}

std::vector<std::uint32_t> GroupTable::blocks_to_write() const {
  std::vector<std::uint32_t> indices;
  if (growth_ && growth_->group_count() != layout_.group_count()) {
    const std::uint32_t first = moves() ? 0 : layout_.group_count() / layout_.group_table_entries_per_block();
    for (std::uint32_t index = first; index < growth_->group_table_blocks(); ++index) indices.push_back(index);
  }
  for (const StagedRecord& staged : staged_) indices.push_back(staged.group / layout_.group_table_entries_per_block());
  for (std::uint32_t index = 0; index < blocks_.size(); ++index) {
    if (blocks_[index].overwrite) indices.push_back(index);
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  return indices;
}

void GroupTable::build(std::uint32_t index, Generation generation, std::span<std::byte> block) const {
  std::fill(block.begin(), block.end(), std::byte{0});
  format::GroupTableHeader header{};
  header.magic = format::kGroupTableMagic;
  std::memcpy(header.uuid, uuid_, sizeof header.uuid);
  header.generation = generation.value();
  header.index = index;
  header.count = records_in(layout_to_come(), index);
  std::memcpy(block.data(), &header, sizeof header);

  const std::uint32_t first = index * layout_.group_table_entries_per_block();
  auto staged = std::lower_bound(staged_.begin(), staged_.end(), first,
                                 [](const StagedRecord& s, std::uint32_t group) { return s.group < group; });
  for (std::uint32_t i = 0; i < header.count; ++i) {
    const std::uint32_t group = first + i;
    const bool changed = staged != staged_.end() && staged->group == group;
    const GroupRecord record = changed                   ? (staged++)->record
                               : group < records_.size() ? records_[group]
                                                         : untouched(layout_to_come(), group);
    format::GroupEntry entry{};
    entry.bitmap_crc = record.bitmap_crc;
    entry.free_blocks = record.free_blocks;
    entry.generation = record.generation.value();
    entry.flags = (record.initialised ? format::kGroupInitialised : 0U) | (record.slot != 0 ? format::kGroupSlot : 0U);
    std::memcpy(block.data() + sizeof header + i * sizeof entry, &entry, sizeof entry);
  }
  format::seal_group_table_block(block);
}

Result<std::uint32_t> GroupTable::write_staged(blockio::IoQueue& io, Generation generation) {
  std::sort(staged_.begin(), staged_.end(),
            [](const StagedRecord& a, const StagedRecord& b) { return a.group < b.group; });
  staged_blocks_.clear();
  const std::vector<std::uint32_t> indices = blocks_to_write();
  if (indices.empty()) return crc_with_staged();
  const std::size_t block_size = layout_.block_size();
  const std::size_t stretch = std::min(std::max<std::size_t>(kStretchBytes / block_size, 1), indices.size());
  blockio::AlignedBuffer buffer(stretch * block_size);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);

  for (std::size_t done = 0; done < indices.size(); done += stretch) {
    const std::size_t count = std::min(stretch, indices.size() - done);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t index = indices[done + i];
      const std::span<std::byte> block = buffer.span().subspan(i * block_size, block_size);
      build(index, generation, block);
      format::GroupTableHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      const auto slot = static_cast<std::uint8_t>(moves() ? 0U : 1U - blocks_[index].slot);
      staged_blocks_.push_back({index, BlockState{header.crc, slot, false}});
    }
    TRY(write_batch(io, std::span<const StagedBlock>(staged_blocks_).last(count),
                    buffer.span().first(count * block_size)));
  }
  if (moves()) TRY(erase_unused_slots(io, buffer.span()));
  return crc_with_staged();
}

// Where the table begins to lie there may be blocks of one that was there before, of whatever generation.
Status GroupTable::erase_unused_slots(blockio::IoQueue& io, std::span<std::byte> zeros) const {
  std::fill(zeros.begin(), zeros.end(), std::byte{0});
  const format::Layout& layout = layout_to_come();
  const auto stretch = static_cast<std::uint32_t>(zeros.size() / layout.block_size());
  for (std::uint32_t first = 0; first < layout.group_table_blocks(); first += stretch) {
    const std::size_t bytes = std::min(stretch, layout.group_table_blocks() - first) * std::size_t{layout.block_size()};
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      blockio::IoOp op =
          blockio::IoOp::write(layout.byte_offset(layout.group_table_block(first, 1, copy)), zeros.first(bytes));
      TRY(io.run(op));
    }
  }
  return {};
}

// Neighbours that go into the same slot are one write.
Status GroupTable::write_batch(blockio::IoQueue& io, std::span<const StagedBlock> batch,
                               std::span<const std::byte> images) const {
  const std::size_t block_size = layout_.block_size();
  std::vector<blockio::IoOp> ops;
  for (std::size_t begin = 0; begin < batch.size();) {
    std::size_t end = begin + 1;
    while (end < batch.size() && batch[end].index == batch[end - 1].index + 1 &&
           batch[end].state.slot == batch[begin].state.slot) {
      ++end;
    }
    const std::span<const std::byte> bytes = images.subspan(begin * block_size, (end - begin) * block_size);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      const BlockNumber at = layout_to_come().group_table_block(batch[begin].index, batch[begin].state.slot, copy);
      ops.push_back(blockio::IoOp::write(layout_.byte_offset(at), bytes));
    }
    begin = end;
  }
  std::vector<blockio::IoOp*> pointers;
  for (blockio::IoOp& op : ops) pointers.push_back(&op);
  return io.run(pointers);
}

std::uint32_t GroupTable::crc_with_staged() const {
  std::vector<format::le32> checksums(layout_to_come().group_table_blocks());
  for (std::size_t i = 0; i < blocks_.size(); ++i) checksums[i] = blocks_[i].crc;
  for (const StagedBlock& staged : staged_blocks_) checksums[staged.index] = staged.state.crc;
  return format::crc32c(std::as_bytes(std::span<const format::le32>(checksums)));
}

void GroupTable::adopt_staged() {
  if (growth_) {
    layout_ = *growth_;
    growth_.reset();
    records_.reserve(layout_.group_count());
    for (auto group = static_cast<std::uint32_t>(records_.size()); group < layout_.group_count(); ++group) {
      records_.push_back(untouched(layout_, group));
    }
    blocks_.resize(layout_.group_table_blocks());
  }
  for (const StagedRecord& staged : staged_) records_[staged.group] = staged.record;
  for (const StagedBlock& staged : staged_blocks_) blocks_[staged.index] = staged.state;
  staged_.clear();
  staged_blocks_.clear();
  free_blocks_ = staged_free_blocks_;
}

}  // namespace ashlar::store
