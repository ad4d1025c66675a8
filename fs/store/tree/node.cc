#include "fs/store/tree/node.h"

#include <cstring>

#include "fs/store/tree/node_cache.h"

namespace ashlar::store {

Node::~Node() {
  if (cache != nullptr) cache->remove(*this);
}

void Node::begin(std::uint8_t level, Generation born) {
  generation = born;
  std::memset(image.data(), 0, image.size());
  header().level = level;
  if (level == 0) {
    header().values_start = size();
  } else {
    children = std::make_unique<NodeRef[]>(format::max_internal_entries(size()));
  }
}

void Node::adopt_image(const format::NodePointer& from) {
  pointer = from;
  generation = from.generation;
  if (is_leaf()) {
    for (const format::LeafItem& item : format::leaf_items(image.span())) value_bytes += item.value_size.value();
  } else {
    children = std::make_unique<NodeRef[]>(format::max_internal_entries(size()));
  }
}

NodeRef Node::clone(Generation born, NodeImage into) const {
  NodeRef copy{new Node(std::move(into))};
  std::memcpy(copy->image.data(), image.data(), image.size());
  copy->generation = born;
  copy->value_bytes = value_bytes;
  copy->after_insert = after_insert;
  if (!is_leaf()) {
    copy->children = std::make_unique<NodeRef[]>(format::max_internal_entries(size()));
    for (std::uint32_t i = 0; i < count(); ++i) copy->children[i] = children[i];
    copy->resident_children = resident_children;
  }
  return copy;
}

format::Key Node::first_key() const noexcept {
  return is_leaf() ? key_of(format::leaf_items(image.span()).front())
                   : key_of(format::internal_entries(image.span()).front());
}

format::Key Node::last_key() const noexcept {
  return is_leaf() ? key_of(format::leaf_items(image.span()).back())
                   : key_of(format::internal_entries(image.span()).back());
}

}  // namespace ashlar::store
