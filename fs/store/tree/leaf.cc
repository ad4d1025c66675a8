#include "fs/store/tree/leaf.h"

#include <algorithm>
#include <cstring>

namespace ashlar::store::leaf {
namespace {

using format::LeafItem;

constexpr std::size_t kHeader = sizeof(format::NodeHeader);

LeafItem* items_of(std::byte* image) noexcept { return reinterpret_cast<LeafItem*>(image + kHeader); }
const LeafItem& item_at(const Node& node, std::uint32_t index) noexcept {
  return format::leaf_items(node.image.span())[index];
}

// Between the last item header and the lowest value.
std::size_t gap(const Node& node) noexcept {
  return node.header().values_start - kHeader - node.count() * sizeof(LeafItem);
}

void compact(Node& node, std::span<std::byte> scratch) noexcept {
  compact_into(node, scratch);
  std::memcpy(node.image.data(), scratch.data(), node.size());
}

// Puts a value at the low end of the value area.
void store_value(Node& node, LeafItem& item, std::span<const std::byte> value) noexcept {
  item.value_size = static_cast<std::uint16_t>(value.size());
  item.value_offset = 0;
  if (value.empty()) return;
  const auto start = static_cast<std::uint32_t>(node.header().values_start - value.size());
  std::memcpy(node.image.data() + start, value.data(), value.size());
  node.header().values_start = start;
  item.value_offset = static_cast<std::uint16_t>(start);
  node.value_bytes += static_cast<std::uint32_t>(value.size());
}

}  // namespace

std::uint32_t lower_bound(const Node& node, const format::Key& key) noexcept {
  const auto items = format::leaf_items(node.image.span());
  const auto found = std::lower_bound(items.begin(), items.end(), key,
                                      [](const LeafItem& item, const format::Key& k) { return key_of(item) < k; });
  return static_cast<std::uint32_t>(found - items.begin());
}

std::uint32_t upper_bound(const Node& node, const format::Key& key) noexcept {
  const std::uint32_t index = lower_bound(node, key);
  return holds(node, index, key) ? index + 1 : index;
}

bool holds(const Node& node, std::uint32_t index, const format::Key& key) noexcept {
  return index < node.count() && key_at(node, index) == key;
}

format::Key key_at(const Node& node, std::uint32_t index) noexcept { return key_of(item_at(node, index)); }

std::span<const std::byte> value_at(const Node& node, std::uint32_t index) noexcept {
  return format::value_of(node.image.span(), item_at(node, index));
}

std::size_t used_bytes(const Node& node) noexcept { return node.count() * sizeof(LeafItem) + node.value_bytes; }

std::size_t capacity(const Node& node) noexcept { return node.size() - kHeader; }

bool has_room(const Node& node, std::size_t value_size) noexcept {
  return used_bytes(node) + sizeof(LeafItem) + value_size <= capacity(node);
}

bool fit_together(const Node& left, const Node& right) noexcept {
  return used_bytes(left) + used_bytes(right) <= capacity(left);
}

void insert(Node& node, std::uint32_t index, const format::Key& key, std::span<const std::byte> value,
            std::span<std::byte> scratch) noexcept {
  if (gap(node) < sizeof(LeafItem) + value.size()) compact(node, scratch);
  LeafItem* const items = items_of(node.image.data());
  std::memmove(items + index + 1, items + index, (node.count() - index) * sizeof(LeafItem));
  LeafItem item{};
  item.inode = key.inode.value();
  item.offset = key.offset;
  item.kind = static_cast<std::uint8_t>(key.kind);
  store_value(node, item, value);
  items[index] = item;
  node.set_count(node.count() + 1);
  node.after_insert = index + 1;
}

void overwrite(Node& node, std::uint32_t index, std::span<const std::byte> value) noexcept {
  LeafItem& item = items_of(node.image.data())[index];
  node.value_bytes -= item.value_size.value() - static_cast<std::uint32_t>(value.size());
  if (!value.empty()) std::memcpy(node.image.data() + item.value_offset, value.data(), value.size());
  item.value_size = static_cast<std::uint16_t>(value.size());
  if (value.empty()) item.value_offset = 0;
}

void erase(Node& node, std::uint32_t index) noexcept {
  LeafItem* const items = items_of(node.image.data());
  const std::uint32_t size = items[index].value_size;
  node.value_bytes -= size;
  // What lies lowest is free again at once.
  if (size > 0 && items[index].value_offset == node.header().values_start) {
    node.header().values_start = node.header().values_start + size;
  }
  std::memmove(items + index, items + index + 1, (node.count() - index - 1) * sizeof(LeafItem));
  node.set_count(node.count() - 1);
  if (node.count() == 0) node.header().values_start = node.size();
}

void append(Node& to, const Node& from, std::uint32_t first, std::span<std::byte> scratch) noexcept {
  for (std::uint32_t i = first; i < from.count(); ++i) {
    insert(to, to.count(), key_at(from, i), value_at(from, i), scratch);
  }
}

void truncate(Node& node, std::uint32_t count) noexcept {
  for (std::uint32_t i = count; i < node.count(); ++i) node.value_bytes -= item_at(node, i).value_size.value();
  node.set_count(count);
  if (count == 0) node.header().values_start = node.size();
}

Split split_point(const Node& node, std::uint32_t index, std::size_t value_size) noexcept {
  // A file in the middle of the tree grows: what comes behind it makes room, its own leaf stays full.
  if (index > 0 && index < node.count() && index == node.after_insert) {
    std::size_t kept = index * sizeof(LeafItem);
    for (std::uint32_t i = 0; i < index; ++i) kept += value_at(node, i).size();
    return Split{index, kept + sizeof(LeafItem) + value_size <= capacity(node)};
  }
  // Over the sequence with the new item in its place; a boundary b leaves its first b items on the left. No item takes
  // more than a quarter of a node, so the most even boundary lets both sides fit.
  const std::size_t total = used_bytes(node) + sizeof(LeafItem) + value_size;
  std::size_t left = 0;
  std::size_t least_uneven = total;
  std::uint32_t best = 1;
  for (std::uint32_t boundary = 1; boundary <= node.count(); ++boundary) {
    const std::uint32_t added = boundary - 1;
    const std::size_t size = added == index ? value_size : value_at(node, added < index ? added : added - 1).size();
    left += sizeof(LeafItem) + size;
    const std::size_t uneven = 2 * left > total ? 2 * left - total : total - 2 * left;
    if (uneven < least_uneven) {
      least_uneven = uneven;
      best = boundary;
    }
  }
  const bool insert_left = index < best;
  return Split{insert_left ? best - 1 : best, insert_left};
}

void compact_into(const Node& node, std::span<std::byte> image) noexcept {
  std::memcpy(image.data(), node.image.data(), kHeader + node.count() * sizeof(LeafItem));
  std::size_t start = node.size();
  LeafItem* const items = items_of(image.data());
  for (std::uint32_t i = 0; i < node.count(); ++i) {
    const auto value = value_at(node, i);
    if (value.empty()) continue;
    start -= value.size();
    std::memcpy(image.data() + start, value.data(), value.size());
    items[i].value_offset = static_cast<std::uint16_t>(start);
  }
  reinterpret_cast<format::NodeHeader*>(image.data())->values_start = static_cast<std::uint32_t>(start);
  const std::size_t items_end = kHeader + node.count() * sizeof(LeafItem);
  std::memset(image.data() + items_end, 0, start - items_end);
}

}  // namespace ashlar::store::leaf
