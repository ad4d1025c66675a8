#include "fsck/salvaged_items.h"

#include "fs/format/node.h"

namespace ashlar::fsck {

Result<std::span<const std::byte>> SalvageReader::read(const format::Key& key, const SalvagedPlace& place) {
  const std::span<const std::byte> node = TRY(leaf_at(place.leaf));
  const std::span<const format::LeafItem> items = format::leaf_items(node);
  if (place.index >= items.size() || format::key_of(items[place.index]) != key)
    return fail(ErrorCode::corrupt_structure, "the device reads differently");
  return format::value_of(node, items[place.index]);
}

Result<std::span<const std::byte>> SalvageReader::leaf_at(BlockNumber place) {
  for (const Leaf& leaf : leaves_) {
    if (!leaf.bytes.empty() && leaf.place == place) return leaf.bytes.span();
  }
  Leaf& leaf = leaves_[next_];
  next_ = (next_ + 1) % kLeaves;
  blockio::AlignedBuffer bytes(superblock_.node_size);
  if (bytes.empty()) return fail(ErrorCode::out_of_memory);
  blockio::IoOp op = blockio::IoOp::read(place.value() * superblock_.block_size, bytes.span());
  TRY(io_.run(op));
  TRY(format::validate_node(bytes.span(), superblock_.uuid, nullptr));
  if (format::header_of(bytes.span()).level != 0) return fail(ErrorCode::corrupt_structure, "not a leaf any more");
  leaf.bytes = std::move(bytes);
  leaf.place = place;
  return leaf.bytes.span();
}

}  // namespace ashlar::fsck
