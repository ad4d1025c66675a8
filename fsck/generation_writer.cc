#include "fsck/generation_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "fs/format/checksum.h"

namespace ashlar::fsck {
namespace {

constexpr std::uint32_t kGroupsPerProgress = 64;

class GenerationWriter {
 public:
  GenerationWriter(CheckContext& context, const StoredBitmaps& stored, const BlockMap& used, format::Superblock& next)
      : context_(context),
        stored_(stored),
        used_(used),
        next_(next),
        layout_(context.layout),
        block_(layout_.block_size()),
        entries_(layout_.group_count()) {}

  [[nodiscard]] Status run() {
    if (block_.empty()) return fail(ErrorCode::out_of_memory);
    std::uint64_t free_blocks = 0;
    for (std::uint32_t group = 0; group < layout_.group_count(); ++group) {
      if (group % kGroupsPerProgress == 0)
        TRY(context_.tell_progress(static_cast<double>(group) / static_cast<double>(layout_.group_count())));
      TRY(write_bitmap(group));
      free_blocks += entries_[group].free_blocks;
    }
    next_.free_blocks = free_blocks;
    TRY(write_table());
    TRY(flush());
    return write_superblock();
  }

 private:
  [[nodiscard]] Status write_bitmap(std::uint32_t group) {
    format::GroupEntry& entry = entries_[group];
    const std::vector<std::byte>* const used = used_.group(group);
    if (used == nullptr) {  // as mkfs leaves it
      entry.free_blocks = layout_.initial_free_blocks(group);
      return {};
    }
    layout_.initial_bitmap(group, block_.span());
    std::uint32_t free_blocks = 0;
    for (std::size_t i = 0; i < block_.size(); ++i) {
      block_.data()[i] |= (*used)[i];
      free_blocks += 8 - static_cast<std::uint32_t>(std::popcount(std::to_integer<unsigned>(block_.data()[i])));
    }
    const std::size_t slot = 1 - StoredBitmaps::slot_of(stored_.entry(group));
    entry.bitmap_crc = format::crc32c(block_.span());
    entry.free_blocks = free_blocks;
    entry.generation = next_.generation.value();
    entry.flags = format::kGroupInitialised | (slot == 1 ? format::kGroupSlot : 0U);
    return write(layout_.bitmap_block(group, slot, 0), layout_.bitmap_block(group, slot, 1));
  }

  [[nodiscard]] Status write_table() {
    const std::uint32_t per_block = layout_.group_table_entries_per_block();
    std::vector<format::le32> checksums;
    for (std::uint32_t index = 0; index < layout_.group_table_blocks(); ++index) {
      const std::size_t first = std::size_t{index} * per_block;
      format::GroupTableHeader header{};
      header.magic = format::kGroupTableMagic;
      std::memcpy(header.uuid, next_.uuid, sizeof header.uuid);
      header.generation = next_.generation.value();
      header.index = index;
      header.count = static_cast<std::uint32_t>(std::min<std::size_t>(per_block, entries_.size() - first));
      std::memset(block_.data(), 0, block_.size());
      std::memcpy(block_.data(), &header, sizeof header);
      std::memcpy(block_.data() + sizeof header, &entries_[first], header.count * sizeof(format::GroupEntry));
      format::seal_group_table_block(block_.span());
      std::memcpy(&header, block_.data(), sizeof header);
      checksums.push_back(header.crc);
      const std::size_t slot = 1 - stored_.table_slot(index);
      TRY(write(layout_.group_table_block(index, slot, 0), layout_.group_table_block(index, slot, 1)));
    }
    next_.group_table_crc = format::crc32c(std::as_bytes(std::span(checksums)));
    return {};
  }

  // What is in block_, to both places.
  [[nodiscard]] Status write(BlockNumber first, BlockNumber second) {
    blockio::IoOp ops[] = {blockio::IoOp::write(layout_.byte_offset(first), block_.span()),
                           blockio::IoOp::write(layout_.byte_offset(second), block_.span())};
    const std::array<blockio::IoOp*, 2> pointers{&ops[0], &ops[1]};
    return context_.io.run(pointers);
  }

  [[nodiscard]] Status flush() {
    blockio::IoOp op = blockio::IoOp::flush();
    return context_.io.run(op);
  }

  [[nodiscard]] Status write_superblock() {
    blockio::AlignedBuffer buffer(format::kSuperblockSize);
    if (buffer.empty()) return fail(ErrorCode::out_of_memory);
    format::seal(next_);
    // What is written must be what a mount accepts.
    TRY(format::validate(next_, context_.device.geometry().size, true));
    std::memcpy(buffer.data(), &next_, format::kSuperblockSize);
    const std::size_t slot = next_.generation % format::kSuperblockSlots;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      blockio::IoOp op = blockio::IoOp::write(format::superblock_offset(slot, copy), buffer.span());
      TRY(context_.io.run(op));
    }
    return flush();
  }

  CheckContext& context_;
  const StoredBitmaps& stored_;
  const BlockMap& used_;
  format::Superblock& next_;
  const format::Layout& layout_;
  blockio::AlignedBuffer block_;
  std::vector<format::GroupEntry> entries_;
};

}  // namespace

Status write_generation(CheckContext& context, const StoredBitmaps& stored, const BlockMap& used,
                        format::Superblock next) {
  return GenerationWriter(context, stored, used, next).run();
}

}  // namespace ashlar::fsck
