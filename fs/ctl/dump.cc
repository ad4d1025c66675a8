// ashlarctl dump DEVICE superblock | group N | node BLOCK | inode N | path PATH | log
#include <fmt/format.h>

#include <optional>
#include <vector>

#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/dump_items.h"
#include "fs/ctl/dump_log.h"
#include "fs/ctl/item_text.h"
#include "fs/ctl/superblock_report.h"
#include "fs/ctl/volume_reader.h"
#include "fs/format/checksum.h"
#include "fs/format/node.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

struct Volume {
  VolumeReader reader;
  format::Superblock superblock;
  format::Layout layout;
};

Result<Volume> open_volume(const std::string& path) {
  VolumeReader reader = TRY(VolumeReader::open(path));
  const format::Superblock superblock = TRY(reader.superblock());
  return Volume{std::move(reader), superblock, format::Layout::of(superblock)};
}

Status dump_superblocks(const DumpOptions& options) {
  const VolumeReader reader = TRY(VolumeReader::open(options.device));
  const auto places = reader.superblocks();
  for (std::size_t place = 0; place < places.size(); ++place) {
    print("slot {} copy {} at byte {}: {}\n", slot_of_place(place), copy_of_place(place),
          format::superblock_offset(slot_of_place(place), copy_of_place(place)),
          place_text(places[place], reader.device_size()));
    if (format::validate(places[place], reader.device_size(), false)) print_superblock(places[place]);
  }
  return {};
}

// The newest valid version of the group's entry among both slots and copies.
Result<format::GroupEntry> read_group_entry(const Volume& volume, std::uint32_t group) {
  const std::uint32_t index = group / volume.layout.group_table_entries_per_block();
  const std::uint32_t within = group % volume.layout.group_table_entries_per_block();
  std::optional<format::GroupEntry> best;
  std::uint64_t best_generation = 0;
  std::vector<std::byte> block(volume.layout.block_size());
  for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      Status status =
          volume.reader.read(volume.layout.byte_offset(volume.layout.group_table_block(index, slot, copy)), block);
      if (status) {
        status = format::validate_group_table_block(block, volume.superblock.uuid, index,
                                                    Generation{volume.superblock.generation});
      }
      print("  table block {} slot {} copy {}: {}\n", index, slot, copy,
            status ? std::string("valid") : status.error().message());
      const auto& header = *reinterpret_cast<const format::GroupTableHeader*>(block.data());
      if (!status || within >= header.count || header.generation <= best_generation) continue;
      best_generation = header.generation;
      best = reinterpret_cast<const format::GroupEntry*>(block.data() + sizeof header)[within];
    }
  }
  if (!best) return fail(ErrorCode::bad_checksum, fmt::format("{}: no valid group table block", volume.reader.path()));
  return *best;
}

void print_free_runs(std::span<const std::byte> bitmap, std::uint64_t first, std::uint32_t blocks) {
  const auto used = [&](std::uint32_t i) { return (bitmap[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0}; };
  for (std::uint32_t i = 0; i < blocks;) {
    const std::uint32_t start = i;
    const bool state = used(i);
    while (i < blocks && used(i) == state) ++i;
    print("  {} {} + {}\n", state ? "used" : "free", first + start, i - start);
  }
}

Status dump_group(const DumpOptions& options) {
  const Volume volume = TRY(open_volume(options.device));
  const format::Layout& layout = volume.layout;
  const std::uint32_t group = options.group;
  if (group >= layout.group_count()) {
    return fail(ErrorCode::out_of_range,
                fmt::format("{}: has only {}", options.device, format::count_text(layout.group_count(), "group")));
  }
  print("group {}: blocks {} + {}\n", group, layout.group_first(group).value(), layout.blocks_in_group(group));
  const format::GroupEntry entry = TRY(read_group_entry(volume, group));
  const bool initialised = (entry.flags & format::kGroupInitialised) != 0;
  const std::size_t slot = (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
  print("  {} free, {}, written in generation {}\n", entry.free_blocks.value(),
        initialised ? fmt::format("bitmap in slot {}", slot) : "no bitmap yet", entry.generation.value());
  std::vector<std::byte> bitmap(layout.block_size());
  if (!initialised) {
    layout.initial_bitmap(group, bitmap);
    print_free_runs(bitmap, layout.group_first(group).value(), layout.blocks_in_group(group));
    return {};
  }
  bool printed = false;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    const BlockNumber place = layout.bitmap_block(group, slot, copy);
    const Status read = volume.reader.read(layout.byte_offset(place), bitmap);
    const bool sound = read && format::crc32c(bitmap) == entry.bitmap_crc;
    print("  bitmap copy {} at block {}: {}\n", copy, place.value(),
          sound  ? std::string("valid")
          : read ? std::string("checksum mismatch")
                 : read.error().message());
    if (!sound || printed) continue;
    print_free_runs(bitmap, layout.group_first(group).value(), layout.blocks_in_group(group));
    printed = true;
  }
  return {};
}

void print_leaf(std::span<const std::byte> node, std::uint64_t block_count) {
  for (const format::LeafItem& item : format::leaf_items(node)) {
    const format::Key key = format::key_of(item);
    print("  {} {}\n", key_text(key), value_text(key, format::value_of(node, item), block_count));
  }
}

void print_internal(std::span<const std::byte> node) {
  for (const format::InternalEntry& entry : format::internal_entries(node)) {
    print("  {} -> blocks {} and {}, generation {}, crc {:08x}\n", key_text(format::key_of(entry)),
          entry.address[0].value(), entry.address[1].value(), entry.generation.value(), entry.crc.value());
  }
}

Status dump_node(const DumpOptions& options) {
  const Volume volume = TRY(open_volume(options.device));
  const std::uint64_t blocks = volume.layout.block_count();
  if (options.block > blocks - volume.layout.node_blocks()) {
    return fail(ErrorCode::out_of_range,
                fmt::format("{}: has only {}", options.device, format::count_text(blocks, "block")));
  }
  std::vector<std::byte> node(volume.layout.node_size());
  TRY(volume.reader.read(volume.layout.byte_offset(BlockNumber{options.block}), node));
  const format::NodeHeader& header = format::header_of(node);
  Status valid = format::validate_node(node, volume.superblock.uuid, nullptr);
  if (!valid && header.magic != format::kNodeMagic) {
    return fail(std::move(valid).error().with_context(fmt::format("{}: block {}", options.device, options.block)));
  }
  // What a damaged one holds is what somebody wants to see: as far as it makes sense but for that.
  bool is_readable = true;
  if (!valid) {
    print("DAMAGED: {}\n", valid.error().message());
    std::vector<std::byte> resealed = node;
    format::seal_node(resealed);
    const Status otherwise = format::validate_node(resealed, header.uuid, nullptr);
    is_readable = otherwise.has_value();
    if (!is_readable) print("DAMAGED: {}\n", otherwise.error().message());
  }
  print("node at blocks {} and {}: level {}, generation {}, {} entries, crc {:08x}\n", header.address[0].value(),
        header.address[1].value(), header.level, header.generation.value(), header.count.value(), header.crc.value());
  if (is_readable) header.level == 0 ? print_leaf(node, blocks) : print_internal(node);
  return {};
}

Status dump_one_inode(const DumpOptions& options) {
  const Volume volume = TRY(open_volume(options.device));
  return dump_inode(volume.reader, volume.superblock, options.inode);
}

Status dump_one_path(const DumpOptions& options) {
  const Volume volume = TRY(open_volume(options.device));
  return dump_path(volume.reader, volume.superblock, options.path);
}

Status dump_whole_log(const DumpOptions& options) {
  const Volume volume = TRY(open_volume(options.device));
  return dump_log(volume.reader, volume.superblock);
}

}  // namespace

Status dump(const DumpOptions& options) {
  switch (options.part) {
    case DumpPart::superblock: return dump_superblocks(options);
    case DumpPart::group: return dump_group(options);
    case DumpPart::node: return dump_node(options);
    case DumpPart::inode: return dump_one_inode(options);
    case DumpPart::path: return dump_one_path(options);
    case DumpPart::log: break;
  }
  return dump_whole_log(options);
}

}  // namespace ashlar::ctl
