#include "fs/store/node_pool.h"

namespace ashlar::store {

NodePool::NodePool(const format::Layout& layout, Allocator& allocator) noexcept
    : layout_(layout), allocator_(allocator) {}

NodePool::~NodePool() { trim(0); }

Status NodePool::fill(blockio::IoQueue& io, std::size_t wanted) {
  while (size() < wanted) {
    const NodePlace place = TRY(allocate_place(io));
    const std::scoped_lock lock(mutex_);
    places_.push_back(place);
  }
  return {};
}

Result<NodePlace> NodePool::take() {
  const std::scoped_lock lock(mutex_);
  if (places_.empty()) return fail(ErrorCode::no_space, "no place is left for a tree node");
  const NodePlace place = places_.front();
  places_.pop_front();
  return place;
}

void NodePool::trim(std::size_t wanted) {
  const std::scoped_lock lock(mutex_);
  while (places_.size() > wanted) {
    cancel(places_.back());
    places_.pop_back();
  }
}

std::size_t NodePool::size() const {
  const std::scoped_lock lock(mutex_);
  return places_.size();
}

Result<NodePlace> NodePool::allocate_place(blockio::IoQueue& io) {
  const std::uint64_t blocks = layout_.node_blocks();
  AllocationRequest request{.purpose = Purpose::metadata, .goal = BlockNumber{0}, .minimum = blocks, .maximum = blocks};
  const BlockRun first = TRY(allocator_.allocate(io, request));
  request.avoid_group = layout_.group_of(first.first);
  Result<BlockRun> second = allocator_.allocate(io, request);
  if (!second) {
    allocator_.cancel(first);
    return fail(std::move(second).error());
  }
  return NodePlace{{first.first, second->first}};
}

void NodePool::cancel(const NodePlace& place) {
  for (const BlockNumber address : place.address) allocator_.cancel(BlockRun{address, layout_.node_blocks()});
}

}  // namespace ashlar::store
