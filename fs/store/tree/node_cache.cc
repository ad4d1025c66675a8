#include "fs/store/tree/node_cache.h"

namespace ashlar::store {
namespace {

std::size_t bytes_of(const Node& node) noexcept {
  std::size_t bytes = sizeof(Node) + node.size();
  if (!node.is_leaf()) bytes += format::max_internal_entries(node.size()) * sizeof(NodeRef);
  return bytes;
}

}  // namespace

void NodeCache::add(Node& node) noexcept {
  node.cache = this;
  if (hand_ == nullptr) {
    hand_ = node.next = node.previous = &node;
  } else {
    // Behind the hand: the last that it comes to.
    node.next = hand_;
    node.previous = hand_->previous;
    node.previous->next = &node;
    hand_->previous = &node;
  }
  ++count_;
  bytes_ += bytes_of(node);
}

void NodeCache::remove(Node& node) noexcept {
  if (hand_ == &node) hand_ = node.next == &node ? nullptr : node.next;
  node.next->previous = node.previous;
  node.previous->next = node.next;
  node.next = node.previous = nullptr;
  node.cache = nullptr;
  --count_;
  bytes_ -= bytes_of(node);
}

Node* NodeCache::advance() noexcept {
  Node* const node = hand_;
  if (node != nullptr) hand_ = node->next;
  return node;
}

}  // namespace ashlar::store
