#include "fs/ctl/tree_reader.h"

#include <fmt/format.h>

namespace ashlar::ctl {

format::NodePointer pointer_of(const format::InternalEntry& entry, std::uint8_t level) noexcept {
  format::NodePointer pointer;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) pointer.address[copy] = BlockNumber{entry.address[copy]};
  pointer.generation = Generation{entry.generation};
  pointer.crc = entry.crc;
  pointer.level = static_cast<std::uint8_t>(level - 1);
  return pointer;
}

Result<std::vector<std::byte>> TreeReader::read_node(const format::NodePointer& pointer) const {
  Status status;
  for (const BlockNumber address : pointer.address) {
    if (address.value() > layout_.block_count() - layout_.node_blocks()) {
      status = fail(ErrorCode::corrupt_structure, "a tree node past the volume's end");
      continue;
    }
    std::vector<std::byte> node(layout_.node_size());
    status = reader_.read(layout_.byte_offset(address), node);
    if (status) status = format::validate_node(node, superblock_.uuid, &pointer);
    if (status) return node;
  }
  return fail(std::move(status).error().with_context(reader_.path()));
}

Status TreeReader::scan(const format::Key& first, const format::Key& last, const Visitor& visit) const {
  TRY(scan_below(format::load(superblock_.root), first, last, visit));
  return {};
}

// Levels fall from node to node, which ends it.
Result<bool> TreeReader::scan_below(const format::NodePointer& pointer, const format::Key& first,
                                    const format::Key& last, const Visitor& visit) const {
  const std::vector<std::byte> node = TRY(read_node(pointer));
  if (pointer.level == 0) {
    for (const format::LeafItem& item : format::leaf_items(node)) {
      const format::Key key = format::key_of(item);
      if (key > last) return false;
      if (key >= first && !visit(key, format::value_of(node, item))) return false;
    }
    return true;
  }
  const std::span<const format::InternalEntry> entries = format::internal_entries(node);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i + 1 < entries.size() && format::key_of(entries[i + 1]) <= first) continue;
    if (i != 0 && format::key_of(entries[i]) > last) return false;
    if (!TRY(scan_below(pointer_of(entries[i], pointer.level), first, last, visit))) return false;
  }
  return true;
}

}  // namespace ashlar::ctl
