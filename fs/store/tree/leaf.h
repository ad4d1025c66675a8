// Operations on the leaf page of a node: item headers grow up, values grow down, what values left behind is garbage
// until the page is compacted. Callers own the node (see Tree) and keep within capacity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/format/key.h"
#include "fs/store/tree/node.h"

namespace ashlar::store::leaf {

[[nodiscard]] std::uint32_t lower_bound(const Node& node, const format::Key& key) noexcept;  // first item not below
[[nodiscard]] std::uint32_t upper_bound(const Node& node, const format::Key& key) noexcept;  // first item above
[[nodiscard]] bool holds(const Node& node, std::uint32_t index, const format::Key& key) noexcept;
[[nodiscard]] format::Key key_at(const Node& node, std::uint32_t index) noexcept;
[[nodiscard]] std::span<const std::byte> value_at(const Node& node, std::uint32_t index) noexcept;

// Bytes that item headers and values take, and may take.
[[nodiscard]] std::size_t used_bytes(const Node& node) noexcept;
[[nodiscard]] std::size_t capacity(const Node& node) noexcept;
[[nodiscard]] bool has_room(const Node& node, std::size_t value_size) noexcept;
[[nodiscard]] bool fit_together(const Node& left, const Node& right) noexcept;

// `scratch`: node size bytes for compaction. has_room(node, value.size()) must hold.
void insert(Node& node, std::uint32_t index, const format::Key& key, std::span<const std::byte> value,
            std::span<std::byte> scratch) noexcept;
void overwrite(Node& node, std::uint32_t index, std::span<const std::byte> value) noexcept;  // not longer than the old
void erase(Node& node, std::uint32_t index) noexcept;
// Copies items [first, end) of `from` behind those of `to`.
void append(Node& to, const Node& from, std::uint32_t first, std::span<std::byte> scratch) noexcept;
void truncate(Node& node, std::uint32_t count) noexcept;

// How to share a leaf's items and a new one at `index`, that does not fit, between two leaves: as evenly as can be,
// unless items come in ascending order.
struct Split {
  std::uint32_t first_moved = 0;  // items from here go to the right leaf
  bool insert_left = false;       // where the new item goes
};
[[nodiscard]] Split split_point(const Node& node, std::uint32_t index, std::size_t value_size) noexcept;

// Writes the page without garbage into `image` (node size bytes), unused bytes zero.
void compact_into(const Node& node, std::span<std::byte> image) noexcept;

}  // namespace ashlar::store::leaf
