#include "mkfs/volume_writer.h"

#include <algorithm>
#include <cstring>

#include "fs/format/checksum.h"

namespace ashlar::mkfs {
namespace {

constexpr std::size_t kWriteBytes = 1U << 20;  // of one write
constexpr std::size_t kOpsInFlight = 32;
constexpr std::size_t kTablePieces = 4;  // of the group table in memory at a time
constexpr std::size_t kTableSlot = kFirstGeneration.value() % format::kSuperblockSlots;

Result<blockio::AlignedBuffer> buffer_of(std::size_t size) {
  blockio::AlignedBuffer buffer(size);
  if (buffer.size() != size) return fail(ErrorCode::out_of_memory);
  return buffer;
}

Status run_all(blockio::IoQueue& io, std::vector<blockio::IoOp>& ops) {
  std::vector<blockio::IoOp*> pointers;
  pointers.reserve(ops.size());
  for (blockio::IoOp& op : ops) pointers.push_back(&op);
  return io.run(pointers);
}

}  // namespace

Status VolumeWriter::write_zeros(std::span<const ByteRun> runs) {
  std::uint64_t longest = 0;
  for (const ByteRun& run : runs) longest = std::max(longest, run.length);
  const auto zeros = TRY(buffer_of(static_cast<std::size_t>(std::min<std::uint64_t>(longest, kWriteBytes))));
  std::vector<blockio::IoOp> ops;
  for (ByteRun run : runs) {
    while (run.length > 0) {
      const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(run.length, zeros.size()));
      ops.push_back(blockio::IoOp::write(run.offset, zeros.span().first(piece)));
      run.offset += piece;
      run.length -= piece;
      if (ops.size() == kOpsInFlight) {
        TRY(run_all(io_, ops));
        ops.clear();
      }
    }
  }
  return run_all(io_, ops);
}

Status VolumeWriter::erase_heads() {
  const ByteRun runs[] = {{0, format::kHeadBytes}, {format::kSecondHead, format::kHeadBytes}};
  return write_zeros(runs);
}

Status VolumeWriter::erase_stale_parts() {
  // An earlier volume of the same UUID may have left group table blocks of generations that this one will reach.
  const std::uint64_t table_bytes = std::uint64_t{layout_.group_table_blocks()} * layout_.block_size();
  const ByteRun runs[] = {
      {layout_.byte_offset(layout_.group_table_block(0, 1 - kTableSlot, 0)), table_bytes},
      {layout_.byte_offset(layout_.group_table_block(0, 1 - kTableSlot, 1)), table_bytes},
      {layout_.byte_offset(layout_.log().first), layout_.block_size()},
  };
  return write_zeros(runs);
}

Status VolumeWriter::write_copies(std::span<const std::byte> bytes, std::span<const std::uint64_t> offsets) {
  std::vector<blockio::IoOp> ops;
  ops.reserve(offsets.size());
  for (const std::uint64_t offset : offsets) ops.push_back(blockio::IoOp::write(offset, bytes));
  return run_all(io_, ops);
}

Result<std::vector<format::GroupEntry>> VolumeWriter::write_bitmaps(std::span<const TouchedGroup> touched) {
  std::vector<format::GroupEntry> entries;
  auto bitmap = TRY(buffer_of(layout_.block_size()));
  for (const TouchedGroup& each : touched) {
    entries.push_back(build_bitmap(layout_, each, bitmap.span()));
    const std::size_t slot = (entries.back().flags & format::kGroupSlot) != 0 ? 1 : 0;
    const std::uint64_t offsets[] = {layout_.byte_offset(layout_.bitmap_block(each.group, slot, 0)),
                                     layout_.byte_offset(layout_.bitmap_block(each.group, slot, 1))};
    TRY(write_copies(bitmap.span(), offsets));
  }
  return entries;
}

void VolumeWriter::fill_table_block(std::span<std::byte> block, std::uint32_t index, const std::uint8_t (&uuid)[16],
                                    std::span<const TouchedGroup> touched,
                                    std::span<const format::GroupEntry> entries) const {
  const std::uint32_t per_block = layout_.group_table_entries_per_block();
  const std::uint32_t first = index * per_block;
  const std::uint32_t count = std::min(per_block, layout_.group_count() - first);
  std::fill(block.begin(), block.end(), std::byte{0});

  format::GroupTableHeader header{};
  header.magic = format::kGroupTableMagic;
  std::memcpy(header.uuid, uuid, sizeof uuid);
  header.generation = kFirstGeneration.value();
  header.index = index;
  header.count = count;
  std::memcpy(block.data(), &header, sizeof header);

  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t group = first + i;
    format::GroupEntry entry{};
    const auto known =
        std::find_if(touched.begin(), touched.end(), [&](const TouchedGroup& each) { return each.group == group; });
    if (known != touched.end()) {
      entry = entries[static_cast<std::size_t>(known - touched.begin())];
    } else {
      entry.free_blocks = layout_.initial_free_blocks(group);
    }
    std::memcpy(block.data() + sizeof header + i * sizeof entry, &entry, sizeof entry);
  }
  format::seal_group_table_block(block);
}

Result<std::uint32_t> VolumeWriter::write_group_table(const std::uint8_t (&uuid)[16],
                                                      std::span<const TouchedGroup> touched,
                                                      std::span<const format::GroupEntry> entries) {
  const std::uint32_t block_size = layout_.block_size();
  const std::uint32_t table_blocks = layout_.group_table_blocks();
  const auto piece_blocks = std::min(static_cast<std::uint32_t>(kWriteBytes / block_size), table_blocks);
  std::vector<blockio::AlignedBuffer> pieces;
  for (std::size_t i = 0; i < kTablePieces && i * piece_blocks < table_blocks; ++i) {
    pieces.push_back(TRY(buffer_of(std::size_t{piece_blocks} * block_size)));
  }

  std::uint32_t table_crc = 0;
  std::uint32_t index = 0;
  while (index < table_blocks) {
    std::vector<blockio::IoOp> ops;
    for (std::size_t i = 0; i < pieces.size() && index < table_blocks; ++i) {
      const std::uint32_t first = index;
      for (std::uint32_t j = 0; j < piece_blocks && index < table_blocks; ++j, ++index) {
        const auto block = pieces[i].span().subspan(std::size_t{j} * block_size, block_size);
        fill_table_block(block, index, uuid, touched, entries);
        const format::le32 crc = reinterpret_cast<const format::GroupTableHeader*>(block.data())->crc;
        table_crc = format::crc32c(std::as_bytes(std::span(&crc, 1)), table_crc);
      }
      const auto filled = pieces[i].span().first(std::size_t{index - first} * block_size);
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        ops.push_back(
            blockio::IoOp::write(layout_.byte_offset(layout_.group_table_block(first, kTableSlot, copy)), filled));
      }
    }
    TRY(run_all(io_, ops));
  }
  return table_crc;
}

Status VolumeWriter::flush() {
  blockio::IoOp op = blockio::IoOp::flush();
  return io_.run(op);
}

}  // namespace ashlar::mkfs
