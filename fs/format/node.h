// Tree nodes: 64-byte header, then entries sorted by key. A leaf's item headers grow up from the header and its values
// grow down from the end; an internal node has only its entries. Both copies of a node are the same bytes.
#pragma once

#include <span>

#include "fs/base/result.h"
#include "fs/format/key.h"
#include "fs/format/superblock.h"

namespace ashlar::format {

inline constexpr std::uint32_t kNodeMagic = 0x4e6c'6841;  // "AhlN"

struct NodeHeader {
  le32 magic;
  le32 crc;  // of the whole node, itself taken as zero
  std::uint8_t uuid[16];
  le64 address[kCopies];  // where the copies belong
  le64 generation;
  std::uint8_t level;  // 0: leaf
  std::uint8_t flags;  // none now
  le16 count;
  le32 values_start;  // leaf: lowest byte used by a value, node size when none; internal: 0
  le32 tree;          // 0: the volume's tree; room for snapshots
  le32 reserved;
};
static_assert(sizeof(NodeHeader) == 64 && std::is_trivially_copyable_v<NodeHeader>);

struct LeafItem {
  le64 inode;
  le64 offset;
  le16 value_offset;  // from the start of the node
  le16 value_size;
  std::uint8_t kind;
  std::uint8_t reserved[3];
};
static_assert(sizeof(LeafItem) == 24 && std::is_trivially_copyable_v<LeafItem>);

// The subtree with the keys from this entry's up to the next one's. The first entry's key of every internal node is not
// above the lowest key below it (the root's leftmost path uses kLowestKey).
struct InternalEntry {
  le64 inode;
  le64 offset;
  le64 address[kCopies];
  le64 generation;
  le32 crc;
  std::uint8_t kind;
  std::uint8_t reserved[3];
};
static_assert(sizeof(InternalEntry) == 48 && std::is_trivially_copyable_v<InternalEntry>);

inline constexpr std::uint8_t kMaxTreeLevel = 15;

// The longest value an item may have, so that a leaf always holds four.
[[nodiscard]] constexpr std::uint32_t max_value_size(std::uint32_t node_size) noexcept {
  return (node_size - static_cast<std::uint32_t>(sizeof(NodeHeader))) / 4 -
         static_cast<std::uint32_t>(sizeof(LeafItem));
}
[[nodiscard]] constexpr std::uint32_t max_internal_entries(std::uint32_t node_size) noexcept {
  return (node_size - static_cast<std::uint32_t>(sizeof(NodeHeader))) /
         static_cast<std::uint32_t>(sizeof(InternalEntry));
}

// A pointer to a node, in memory.
struct NodePointer {
  BlockNumber address[kCopies];
  Generation generation;
  std::uint32_t crc = 0;
  std::uint8_t level = 0;

  friend bool operator==(const NodePointer&, const NodePointer&) noexcept = default;
};
[[nodiscard]] NodePointer load(const NodePointerItem& item) noexcept;
[[nodiscard]] NodePointerItem store(const NodePointer& pointer) noexcept;

// Sets the header's crc.
void seal_node(std::span<std::byte> node) noexcept;

// Everything there is to check of a node on its own and against the pointer that led to it: magic, uuid, checksum
// (bad_checksum), addresses (misdirected_block), generation (stale_block), level, count, entry order, value bounds and
// overlap (corrupt_structure). After this, code may trust every offset inside. `expected` null: check it alone.
[[nodiscard]] Status validate_node(std::span<const std::byte> node, const std::uint8_t (&uuid)[16],
                                   const NodePointer* expected);

// Views over a validated node.
[[nodiscard]] inline const NodeHeader& header_of(std::span<const std::byte> node) noexcept {
  return *reinterpret_cast<const NodeHeader*>(node.data());
}
[[nodiscard]] inline std::span<const LeafItem> leaf_items(std::span<const std::byte> node) noexcept {
  return {reinterpret_cast<const LeafItem*>(node.data() + sizeof(NodeHeader)), header_of(node).count};
}
[[nodiscard]] inline std::span<const InternalEntry> internal_entries(std::span<const std::byte> node) noexcept {
  return {reinterpret_cast<const InternalEntry*>(node.data() + sizeof(NodeHeader)), header_of(node).count};
}
template <typename Entry>
[[nodiscard]] Key key_of(const Entry& entry) noexcept {
  return Key{InodeNumber{entry.inode}, ItemKind{entry.kind}, entry.offset};
}
[[nodiscard]] inline std::span<const std::byte> value_of(std::span<const std::byte> node,
                                                         const LeafItem& item) noexcept {
  return node.subspan(item.value_offset, item.value_size);
}

}  // namespace ashlar::format
