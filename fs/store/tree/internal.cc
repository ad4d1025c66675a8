#include "fs/store/tree/internal.h"

#include <algorithm>
#include <cstring>

namespace ashlar::store::internal {
namespace {

using format::InternalEntry;

InternalEntry* entries_of(Node& node) noexcept {
  return reinterpret_cast<InternalEntry*>(node.image.data() + sizeof(format::NodeHeader));
}

const InternalEntry& entry_at(const Node& node, std::uint32_t index) noexcept {
  return format::internal_entries(node.image.span())[index];
}

}  // namespace

std::uint32_t child_index(const Node& node, const format::Key& key) noexcept {
  const auto entries = format::internal_entries(node.image.span());
  const auto above =
      std::upper_bound(entries.begin(), entries.end(), key,
                       [](const format::Key& k, const InternalEntry& entry) { return k < key_of(entry); });
  const auto index = static_cast<std::uint32_t>(above - entries.begin());
  return index == 0 ? 0 : index - 1;
}

format::Key key_at(const Node& node, std::uint32_t index) noexcept { return key_of(entry_at(node, index)); }

void set_key(Node& node, std::uint32_t index, const format::Key& key) noexcept {
  InternalEntry& entry = entries_of(node)[index];
  entry.inode = key.inode.value();
  entry.offset = key.offset;
  entry.kind = static_cast<std::uint8_t>(key.kind);
}

bool has_room(const Node& node) noexcept { return node.count() < format::max_internal_entries(node.size()); }

bool fit_together(const Node& left, const Node& right) noexcept {
  return left.count() + right.count() <= format::max_internal_entries(left.size());
}

format::NodePointer pointer_at(const Node& node, std::uint32_t index) noexcept {
  const InternalEntry& entry = entry_at(node, index);
  format::NodePointer pointer;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) pointer.address[copy] = BlockNumber{entry.address[copy]};
  pointer.generation = Generation{entry.generation};
  pointer.crc = entry.crc;
  pointer.level = static_cast<std::uint8_t>(node.level() - 1);
  return pointer;
}

void set_pointer(InternalEntry& entry, const format::NodePointer& pointer) noexcept {
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) entry.address[copy] = pointer.address[copy].value();
  entry.generation = pointer.generation.value();
  entry.crc = pointer.crc;
}

void set_child(Node& node, std::uint32_t index, NodeRef child) noexcept {
  NodeRef& slot = node.children[index];
  if (slot && !child) --node.resident_children;
  if (!slot && child) ++node.resident_children;
  slot = std::move(child);
}

void drop_child(Node& node, std::uint32_t index) noexcept {
  set_pointer(entries_of(node)[index], node.children[index]->pointer);
  set_child(node, index, NodeRef());
}

void insert(Node& node, std::uint32_t index, const format::Key& key, NodeRef child) noexcept {
  InternalEntry* const entries = entries_of(node);
  std::memmove(entries + index + 1, entries + index, (node.count() - index) * sizeof(InternalEntry));
  entries[index] = InternalEntry{};
  set_key(node, index, key);
  NodeRef* const children = node.children.get();
  std::move_backward(children + index, children + node.count(), children + node.count() + 1);
  children[index] = NodeRef();
  set_child(node, index, std::move(child));
  node.set_count(node.count() + 1);
}

NodeRef erase(Node& node, std::uint32_t index) noexcept {
  if (index == 0 && node.count() > 1) set_key(node, 1, key_at(node, 0));
  NodeRef child = node.children[index];
  set_child(node, index, NodeRef());
  InternalEntry* const entries = entries_of(node);
  std::memmove(entries + index, entries + index + 1, (node.count() - index - 1) * sizeof(InternalEntry));
  NodeRef* const children = node.children.get();
  std::move(children + index + 1, children + node.count(), children + index);
  node.set_count(node.count() - 1);
  return child;
}

void append(Node& to, const Node& from, std::uint32_t first) noexcept {
  const std::uint32_t begin = to.count();
  const std::uint32_t added = from.count() - first;
  std::memcpy(entries_of(to) + begin, &entry_at(from, first), added * sizeof(InternalEntry));
  for (std::uint32_t i = 0; i < added; ++i) set_child(to, begin + i, from.children[first + i]);
  to.set_count(begin + added);
}

void truncate(Node& node, std::uint32_t count) noexcept {
  for (std::uint32_t i = count; i < node.count(); ++i) set_child(node, i, NodeRef());
  node.set_count(count);
}

}  // namespace ashlar::store::internal
