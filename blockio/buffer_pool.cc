#include "blockio/buffer_pool.h"

#include <fmt/core.h>

#include <utility>

namespace ashlar::blockio {

PooledBuffer& PooledBuffer::operator=(PooledBuffer&& other) noexcept {
  if (this != &other) {
    if (pool_ != nullptr) pool_->give_back(memory_);
    pool_ = std::exchange(other.pool_, nullptr);
    memory_ = other.memory_;
  }
  return *this;
}

PooledBuffer::~PooledBuffer() {
  if (pool_ != nullptr) pool_->give_back(memory_);
}

Result<std::unique_ptr<BufferPool>> BufferPool::create(std::size_t buffer_size, std::size_t count) {
  if (buffer_size == 0 || buffer_size % kBufferAlignment != 0 || count == 0 || count > kMostBytes / buffer_size) {
    return fail(ErrorCode::invalid_argument, fmt::format("a pool of {} buffers of {} bytes", count, buffer_size));
  }
  const std::size_t bytes = buffer_size * count;
  AlignedBuffer memory = AlignedBuffer::in_huge_pages(bytes);
  if (memory.empty()) return fail(ErrorCode::out_of_memory, fmt::format("{} bytes of buffers", bytes));
  return std::unique_ptr<BufferPool>(new BufferPool(std::move(memory), buffer_size));
}

BufferPool::BufferPool(AlignedBuffer memory, std::size_t buffer_size)
    : owned_(std::move(memory)),
      memory_(owned_.span()),
      buffer_size_(buffer_size),
      capacity_(memory_.size() / buffer_size) {
  free_.reserve(capacity_);
  for (std::size_t i = capacity_; i > 0; --i) free_.push_back(memory_.data() + (i - 1) * buffer_size_);
}

BufferPool::~BufferPool() = default;

PooledBuffer BufferPool::take() {
  const std::scoped_lock lock(mutex_);
  if (free_.empty()) return {};
  std::byte* const data = free_.back();
  free_.pop_back();
  return {*this, std::span(data, buffer_size_)};
}

std::size_t BufferPool::available() const {
  const std::scoped_lock lock(mutex_);
  return free_.size();
}

void BufferPool::give_back(std::span<std::byte> buffer) noexcept {
  const std::scoped_lock lock(mutex_);
  free_.push_back(buffer.data());  // reserved in the constructor
}

}  // namespace ashlar::blockio
