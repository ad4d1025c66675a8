#include "fs/format/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "fs/format/checksum.h"

namespace ashlar::format {
namespace {

constexpr std::size_t kNodeCrcOffset = offsetof(NodeHeader, crc);

// Which bytes of a node's value area are taken, to find values that overlap in time linear in the node.
class ByteMap {
 public:
  // Marks [begin, begin + size), which lies below kMaxNodeSize; false when one of them was marked before.
  [[nodiscard]] bool take(std::uint32_t begin, std::uint32_t size) noexcept {
    while (size > 0) {
      const std::uint32_t bit = begin % 64;
      const std::uint32_t run = std::min(size, 64 - bit);
      const std::uint64_t mask = (run == 64 ? ~0ULL : (1ULL << run) - 1) << bit;
      std::uint64_t& word = words_[begin / 64];
      if ((word & mask) != 0) return false;
      word |= mask;
      begin += run;
      size -= run;
    }
    return true;
  }

 private:
  std::uint64_t words_[kMaxNodeSize / 64] = {};
};

Status corrupt(const NodeHeader& header, std::string_view what) {
  return fail(ErrorCode::corrupt_structure, fmt::format("tree node at block {}: {}", header.address[0].value(), what));
}

Status check_identity(const NodeHeader& header, std::span<const std::byte> node, const std::uint8_t (&uuid)[16]) {
  if (header.magic != kNodeMagic) return fail(ErrorCode::bad_checksum, "not a tree node");
  if (header.crc != crc32c_except(node, kNodeCrcOffset))
    return fail(ErrorCode::bad_checksum, "tree node checksum mismatch");
  if (std::memcmp(header.uuid, uuid, sizeof uuid) != 0) {
    return fail(ErrorCode::misdirected_block, "tree node of another volume");
  }
  return {};
}

Status check_expectation(const NodeHeader& header, const NodePointer& expected) {
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    if (header.address[copy] != expected.address[copy].value()) {
      return fail(ErrorCode::misdirected_block,
                  fmt::format("tree node of block {} found where that of block {} belongs",
                              header.address[copy].value(), expected.address[copy].value()));
    }
  }
  if (header.generation != expected.generation.value()) {
    return fail(ErrorCode::stale_block,
                fmt::format("tree node at block {} is of generation {}, not {}", header.address[0].value(),
                            header.generation.value(), expected.generation.value()));
  }
  if (header.crc != expected.crc)
    return fail(ErrorCode::bad_checksum, "tree node differs from what its parent recorded");
  if (header.level != expected.level) return corrupt(header, "wrong level");
  return {};
}

// Entries strictly ascending, kinds in range.
template <typename Entry>
Status check_keys(const NodeHeader& header, std::span<const Entry> entries, std::uint8_t lowest_kind) {
  std::optional<Key> previous;
  for (const Entry& entry : entries) {
    if (entry.kind < lowest_kind || entry.kind >= kItemKindLimit) return corrupt(header, "unknown kind of item");
    const Key key = key_of(entry);
    if (previous && key <= *previous) return corrupt(header, "keys out of order");
    previous = key;
  }
  return {};
}

Status check_leaf(std::span<const std::byte> node) {
  const NodeHeader& header = header_of(node);
  const std::size_t node_size = node.size();
  const std::size_t items_end = sizeof(NodeHeader) + std::size_t{header.count} * sizeof(LeafItem);
  const std::size_t values_start = header.values_start;
  if (values_start > node_size || items_end > values_start) return corrupt(header, "items reach into the values");
  const auto items = leaf_items(node);
  TRY(check_keys(header, items, 1));

  const std::size_t longest = max_value_size(static_cast<std::uint32_t>(node_size));
  ByteMap taken;
  for (const LeafItem& item : items) {
    const std::size_t begin = item.value_offset;
    const std::size_t size = item.value_size;
    if (size == 0) {
      if (begin > node_size) return corrupt(header, "value outside the node");
      continue;
    }
    if (size > longest) return corrupt(header, "value too long");
    if (begin < values_start || begin + size > node_size) return corrupt(header, "value outside the node");
    if (!taken.take(item.value_offset, item.value_size)) return corrupt(header, "values overlap");
  }
  return {};
}

Status check_internal(std::span<const std::byte> node) {
  const NodeHeader& header = header_of(node);
  if (header.count == 0) return corrupt(header, "internal node without entries");
  if (header.count > max_internal_entries(static_cast<std::uint32_t>(node.size()))) {
    return corrupt(header, "entries reach past the node");
  }
  const auto entries = internal_entries(node);
  TRY(check_keys(header, entries, 0));
  for (const InternalEntry& entry : entries) {
    if (entry.address[0] == 0 || entry.address[1] == 0) return corrupt(header, "entry without an address");
    if (entry.address[0] == entry.address[1]) return corrupt(header, "entry whose copies are one");
    // A parent is written anew whenever a node below it is.
    if (entry.generation > header.generation) return corrupt(header, "entry newer than its node");
  }
  return {};
}

}  // namespace

NodePointer load(const NodePointerItem& item) noexcept {
  NodePointer pointer;
  for (std::size_t copy = 0; copy < kCopies; ++copy) pointer.address[copy] = BlockNumber{item.address[copy]};
  pointer.generation = Generation{item.generation};
  pointer.crc = item.crc;
  pointer.level = item.level;
  return pointer;
}

NodePointerItem store(const NodePointer& pointer) noexcept {
  NodePointerItem item{};
  for (std::size_t copy = 0; copy < kCopies; ++copy) item.address[copy] = pointer.address[copy].value();
  item.generation = pointer.generation.value();
  item.crc = pointer.crc;
  item.level = pointer.level;
  return item;
}

void seal_node(std::span<std::byte> node) noexcept {
  auto& header = *reinterpret_cast<NodeHeader*>(node.data());
  header.crc = crc32c_except(node, kNodeCrcOffset);
}

Status validate_node(std::span<const std::byte> node, const std::uint8_t (&uuid)[16], const NodePointer* expected) {
  if (node.size() < kMinNodeSize || node.size() > kMaxNodeSize || !std::has_single_bit(node.size())) {
    return fail(ErrorCode::invalid_argument, "node size out of range");
  }
  const NodeHeader& header = header_of(node);
  TRY(check_identity(header, node, uuid));
  if (expected != nullptr) {
    TRY(check_expectation(header, *expected));
  }
  if (header.level > kMaxTreeLevel) return corrupt(header, "level too high");
  if (header.generation == 0) return corrupt(header, "generation 0");
  if (header.level == 0) return check_leaf(node);
  return check_internal(node);
}

}  // namespace ashlar::format
