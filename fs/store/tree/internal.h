// Operations on the entries and children of an internal node.
#pragma once

#include <cstdint>

#include "fs/format/key.h"
#include "fs/store/tree/node.h"

namespace ashlar::store::internal {

// The child whose range holds `key`: the last whose key is not above it; the first for keys below all.
[[nodiscard]] std::uint32_t child_index(const Node& node, const format::Key& key) noexcept;
[[nodiscard]] format::Key key_at(const Node& node, std::uint32_t index) noexcept;
void set_key(Node& node, std::uint32_t index, const format::Key& key) noexcept;
[[nodiscard]] bool has_room(const Node& node) noexcept;
[[nodiscard]] bool fit_together(const Node& left, const Node& right) noexcept;

// Where a child that is not in memory lies.
[[nodiscard]] format::NodePointer pointer_at(const Node& node, std::uint32_t index) noexcept;
void set_pointer(format::InternalEntry& entry, const format::NodePointer& pointer) noexcept;
void set_child(Node& node, std::uint32_t index, NodeRef child) noexcept;
// Lets go of a durable child, remembering where it lies.
void drop_child(Node& node, std::uint32_t index) noexcept;

void insert(Node& node, std::uint32_t index, const format::Key& key, NodeRef child) noexcept;
// The range of an erased first child goes to the next, that of any other to the one before.
NodeRef erase(Node& node, std::uint32_t index) noexcept;
// Copies entries [first, end) of `from` behind those of `to`; children become shared.
void append(Node& to, const Node& from, std::uint32_t first) noexcept;
void truncate(Node& node, std::uint32_t count) noexcept;

}  // namespace ashlar::store::internal
