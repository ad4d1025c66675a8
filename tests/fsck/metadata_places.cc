#include "tests/fsck/metadata_places.h"

namespace ashlar::fsck::testing {

std::vector<MetadataPiece> metadata_pieces(ImageEditor& image) {
  const format::Layout layout = image.layout();
  std::vector<MetadataPiece> pieces;
  const auto add = [&pieces](std::string name, std::size_t length, const auto& offset_of) -> MetadataPiece& {
    MetadataPiece& piece = pieces.emplace_back();
    piece.name = std::move(name);
    piece.length = length;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) piece.offsets[copy] = offset_of(copy);
    return piece;
  };
  // `offset_of`: of a slot's copy.
  const auto add_in_slot = [&add](const std::string& name, std::size_t length, std::size_t slot,
                                  const auto& offset_of) {
    add(name, length, [&](std::size_t copy) { return offset_of(slot, copy); }).other_slot =
        offset_of(1 - slot, std::size_t{0});
  };
  add_in_slot("superblock", format::kSuperblockSize, image.superblock.generation % format::kSuperblockSlots,
              [](std::size_t slot, std::size_t copy) { return format::superblock_offset(slot, copy); });
  for (std::uint32_t i = 0; i < layout.group_table_blocks(); ++i) {
    add_in_slot("group table", layout.block_size(), image.table_slot(i), [&](std::size_t slot, std::size_t copy) {
      return layout.byte_offset(layout.group_table_block(i, slot, copy));
    });
  }
  for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
    const std::uint32_t flags = image.group_entry(group).flags;
    if ((flags & format::kGroupInitialised) == 0) continue;
    add_in_slot(
        "bitmap", layout.block_size(), (flags & format::kGroupSlot) != 0 ? 1 : 0,
        [&](std::size_t slot, std::size_t copy) { return layout.byte_offset(layout.bitmap_block(group, slot, copy)); });
  }
  for (const NodePath& path : image.nodes()) {
    const format::NodePointer pointer = image.pointer_to(path);
    add("node of level " + std::to_string(pointer.level), layout.node_size(), [&](std::size_t copy) {
      return layout.byte_offset(pointer.address[copy]);
    }).node = path;
  }
  return pieces;
}

}  // namespace ashlar::fsck::testing
