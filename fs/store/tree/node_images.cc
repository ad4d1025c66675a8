#include "fs/store/tree/node_images.h"

#include <sanitizer/asan_interface.h>

namespace ashlar::store {

NodeImages::~NodeImages() {
  for (blockio::AlignedBuffer& slab : slabs_) ASAN_UNPOISON_MEMORY_REGION(slab.data(), slab.size());
}

NodeImage NodeImages::take() {
  const std::scoped_lock lock(mutex_);
  if (free_.empty() && !grow()) return {};
  std::byte* const data = free_.back();
  free_.pop_back();
  ASAN_UNPOISON_MEMORY_REGION(data, node_size_);
  return {*this, std::span(data, node_size_)};
}

bool NodeImages::grow() {
  blockio::AlignedBuffer slab = blockio::AlignedBuffer::in_huge_pages(blockio::kHugePageSize);
  if (slab.empty()) return false;
  const std::size_t count = slab.size() / stride_;
  free_.reserve((slabs_.size() + 1) * count);
  for (std::size_t i = count; i > 0; --i) free_.push_back(slab.data() + (i - 1) * stride_);
  ASAN_POISON_MEMORY_REGION(slab.data(), slab.size());
  slabs_.push_back(std::move(slab));
  return true;
}

void NodeImages::give_back(std::span<std::byte> bytes) noexcept {
  ASAN_POISON_MEMORY_REGION(bytes.data(), bytes.size());
  const std::scoped_lock lock(mutex_);
  free_.push_back(bytes.data());
}

}  // namespace ashlar::store
