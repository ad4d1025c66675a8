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

struct TreeReader::Scan {
  const format::Key& first;
  const format::Key& last;
  const Visitor& visit;
  std::uint64_t nodes_left;
};

Status TreeReader::scan(const format::Key& first, const format::Key& last, const Visitor& visit) const {
  Scan scan{first, last, visit, layout_.block_count() / layout_.node_blocks()};
  TRY(scan_below(format::load(superblock_.root), Range{}, scan));
  return {};
}

tl::unexpected<Error> TreeReader::corrupt(const format::NodePointer& pointer, std::string_view what) const {
  return fail(ErrorCode::corrupt_structure,
              fmt::format("{}: tree node at block {}: {}", reader_.path(), pointer.address[0].value(), what));
}

// Levels fall from node to node. Ranges nest and those of two children are apart, so a node that leads to several is
// met once, and what a hostile tree can repeat are nodes that lead to one.
Result<bool> TreeReader::scan_below(const format::NodePointer& pointer, const Range& range, Scan& scan) const {
  if (scan.nodes_left == 0) return corrupt(pointer, "more nodes than the volume has room for");
  --scan.nodes_left;
  const std::vector<std::byte> node = TRY(read_node(pointer));
  if (pointer.level == 0) {
    TRY(check_keys(pointer, range, format::leaf_items(node)));
    return scan_leaf(node, scan);
  }
  const std::span<const format::InternalEntry> entries = format::internal_entries(node);
  TRY(check_keys(pointer, range, entries.subspan(1)));  // the first one's is a lower bound only
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Range below = range;
    if (i != 0) below.lowest = format::key_of(entries[i]);
    if (i + 1 < entries.size()) below.limit = format::key_of(entries[i + 1]);
    if (below.limit && *below.limit <= scan.first) continue;
    if (below.lowest > scan.last) return false;
    if (!TRY(scan_below(pointer_of(entries[i], pointer.level), below, scan))) return false;
  }
  return true;
}

template <typename Entry>
Status TreeReader::check_keys(const format::NodePointer& pointer, const Range& range,
                              std::span<const Entry> entries) const {
  for (const Entry& entry : entries) {
    const format::Key key = format::key_of(entry);
    if (key < range.lowest || (range.limit && key >= *range.limit)) {
      return corrupt(pointer, "keys outside the range that its parent gives it");
    }
  }
  return {};
}

bool TreeReader::scan_leaf(std::span<const std::byte> node, const Scan& scan) {
  for (const format::LeafItem& item : format::leaf_items(node)) {
    const format::Key key = format::key_of(item);
    if (key > scan.last) return false;
    if (key >= scan.first && !scan.visit(key, format::value_of(node, item))) return false;
  }
  return true;
}

}  // namespace ashlar::ctl
