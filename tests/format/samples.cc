#include "tests/format/samples.h"

#include <cstring>

namespace ashlar::format::testing {
namespace {

NodeHeader sample_header(std::uint8_t level, std::size_t count) {
  NodeHeader header{};
  header.magic = kNodeMagic;
  std::memcpy(header.uuid, kUuid, sizeof kUuid);
  header.address[0] = 1000;
  header.address[1] = 2000;
  header.generation = 5;
  header.level = level;
  header.count = static_cast<std::uint16_t>(count);
  return header;
}

template <typename T>
void put(std::vector<std::byte>& bytes, std::size_t offset, const T& value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace

Layout sample_layout() { return *Layout::plan(kVolumeBytes, 4096, 16384); }

Superblock sample_superblock(std::uint64_t generation) {
  const Layout layout = sample_layout();
  Superblock superblock{};
  superblock.magic = kSuperblockMagic;
  superblock.version = kFormatVersion;
  std::memcpy(superblock.uuid, kUuid, sizeof kUuid);
  layout.describe_in(superblock);
  superblock.generation = generation;
  superblock.root.address[0] = 20000;
  superblock.root.address[1] = 40000;
  superblock.root.generation = 1;
  superblock.node_count = 1;
  superblock.free_blocks = layout.block_count() - layout.fixed_blocks() - 8;
  superblock.next_inode = 2;
  superblock.log_epoch = 77;
  seal(superblock);
  return superblock;
}

std::vector<std::byte> sample_leaf(const std::vector<SampleItem>& items, std::size_t node_size) {
  std::vector<std::byte> node(node_size);
  std::size_t values_start = node_size;
  std::size_t at = sizeof(NodeHeader);
  for (const auto& [key, value] : items) {
    values_start -= value.size();
    std::memcpy(node.data() + values_start, value.data(), value.size());
    LeafItem item{};
    item.inode = key.inode.value();
    item.offset = key.offset;
    item.kind = static_cast<std::uint8_t>(key.kind);
    item.value_offset = static_cast<std::uint16_t>(values_start);
    item.value_size = static_cast<std::uint16_t>(value.size());
    put(node, at, item);
    at += sizeof item;
  }
  NodeHeader header = sample_header(0, items.size());
  header.values_start = static_cast<std::uint32_t>(values_start);
  put(node, 0, header);
  seal_node(node);
  return node;
}

std::vector<std::byte> sample_internal(const std::vector<Key>& keys, std::size_t node_size) {
  std::vector<std::byte> node(node_size);
  std::size_t at = sizeof(NodeHeader);
  std::uint64_t address = 3000;
  for (const Key& key : keys) {
    InternalEntry entry{};
    entry.inode = key.inode.value();
    entry.offset = key.offset;
    entry.kind = static_cast<std::uint8_t>(key.kind);
    entry.address[0] = address++;
    entry.address[1] = address++;
    entry.generation = 4;
    put(node, at, entry);
    at += sizeof entry;
  }
  put(node, 0, sample_header(1, keys.size()));
  seal_node(node);
  return node;
}

NodePointer pointer_to(std::span<const std::byte> node) {
  const NodeHeader& header = header_of(node);
  NodePointer pointer;
  for (std::size_t copy = 0; copy < kCopies; ++copy) pointer.address[copy] = BlockNumber{header.address[copy]};
  pointer.generation = Generation{header.generation};
  pointer.crc = header.crc;
  pointer.level = header.level;
  return pointer;
}

}  // namespace ashlar::format::testing
