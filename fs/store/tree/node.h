// A tree node in memory: its image in on-disk layout, and for an internal node the children that are in memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "fs/base/types.h"
#include "fs/format/node.h"
#include "fs/store/tree/node_images.h"

namespace ashlar::store {

struct Node;
class NodeCache;

// A counted reference. Counts are plain integers: they change under the tree's exclusive lock only (or while just one
// thread knows the node), so that copying an internal node with hundreds of children needs no atomic operations.
class NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(Node* node) noexcept;
  NodeRef(const NodeRef& other) noexcept : NodeRef(other.node_) {}
  NodeRef(NodeRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  NodeRef& operator=(NodeRef other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~NodeRef() { release(); }

  [[nodiscard]] Node* get() const noexcept { return node_; }
  Node* operator->() const noexcept { return node_; }
  Node& operator*() const noexcept { return *node_; }
  explicit operator bool() const noexcept { return node_ != nullptr; }

 private:
  void release() noexcept;
  Node* node_ = nullptr;
};

// Of the image's header only level, count and values_start are kept true in memory; the rest is written when the node
// is encoded.
//
// Who may touch what: everything under the tree's lock as usual, except that the checkpoint reads the image of a frozen
// leaf (nobody changes a frozen node) and sets the `pointer` of a frozen node (nobody else reads the pointer of a node
// that is not durable) without it.
struct Node {
  explicit Node(NodeImage of) noexcept : image(std::move(of)) {}
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Makes it a node without entries. Once.
  void begin(std::uint8_t level, Generation born);
  // Makes it the node that a validated image, read into `image` from `from`, describes. Once.
  void adopt_image(const format::NodePointer& from);
  // A copy for `born` in `into` (not empty), sharing the children.
  [[nodiscard]] NodeRef clone(Generation born, NodeImage into) const;

  [[nodiscard]] format::NodeHeader& header() noexcept { return *reinterpret_cast<format::NodeHeader*>(image.data()); }
  [[nodiscard]] const format::NodeHeader& header() const noexcept { return format::header_of(image.span()); }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(image.size()); }
  [[nodiscard]] std::uint8_t level() const noexcept { return header().level; }
  [[nodiscard]] bool is_leaf() const noexcept { return level() == 0; }
  [[nodiscard]] std::uint32_t count() const noexcept { return header().count.value(); }
  void set_count(std::uint32_t count) noexcept { header().count = static_cast<std::uint16_t>(count); }
  [[nodiscard]] format::Key first_key() const noexcept;  // of a node with entries
  [[nodiscard]] format::Key last_key() const noexcept;

  void mark_used() const noexcept {
    if (!used.load(std::memory_order_relaxed)) used.store(true, std::memory_order_relaxed);
  }

  NodeImage image;
  format::NodePointer pointer;          // where it lies, once written
  Generation generation;                // of the checkpoint that writes or wrote it
  std::uint32_t value_bytes = 0;        // leaf: the sum of its values' sizes
  std::uint32_t after_insert = 0;       // leaf: the index behind the item that came last
  std::uint32_t references = 0;         // by NodeRefs
  std::uint32_t resident_children = 0;  // how many of `children` are not null
  std::unique_ptr<NodeRef[]>
      children;  // internal: beside the entries; null: not in memory, where it lies is in the entry

  mutable std::atomic<bool> used{true};  // since the eviction clock passed last
  NodeCache* cache = nullptr;            // that it is linked into
  Node* next = nullptr;
  Node* previous = nullptr;
};

inline NodeRef::NodeRef(Node* node) noexcept : node_(node) {
  if (node_ != nullptr) ++node_->references;
}
inline void NodeRef::release() noexcept {
  if (node_ != nullptr && --node_->references == 0) delete node_;
}

}  // namespace ashlar::store
