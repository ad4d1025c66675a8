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
  const std::size_t slot = image.superblock.generation % format::kSuperblockSlots;
  add("superblock", format::kSuperblockSize, [&](std::size_t copy) { return format::superblock_offset(slot, copy); });
  for (std::uint32_t i = 0; i < layout.group_table_blocks(); ++i) {
    add("group table", layout.block_size(),
        [&](std::size_t copy) { return layout.byte_offset(layout.group_table_block(i, image.table_slot(i), copy)); });
  }
  for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
    if ((image.group_entry(group).flags & format::kGroupInitialised) == 0) continue;
    add("bitmap", layout.block_size(),
        [&](std::size_t copy) { return layout.byte_offset(image.bitmap_block(group, copy)); });
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
