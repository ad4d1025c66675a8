// A bounded set of equal buffers fit for direct I/O, in one piece of memory that rings can register.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

class BufferPool;

// A buffer of a pool, which outlives it; goes back when destroyed. Empty when the pool had none left.
class PooledBuffer {
 public:
  PooledBuffer() = default;
  PooledBuffer(PooledBuffer&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), memory_(other.memory_) {}
  PooledBuffer& operator=(PooledBuffer&& other) noexcept;
  ~PooledBuffer();

  [[nodiscard]] bool empty() const noexcept { return pool_ == nullptr; }
  [[nodiscard]] std::span<std::byte> span() const noexcept {
    return empty() ? std::span<std::byte>{} : std::span<std::byte>{memory_};
  }

 private:
  friend class BufferPool;
  PooledBuffer(BufferPool& pool, std::span<std::byte> memory) noexcept : pool_(&pool), memory_(memory) {}

  BufferPool* pool_ = nullptr;
  std::span<std::byte> memory_;
};

// Thread-safe. The memory is reserved at once and used as far as buffers are taken; the one given back last is taken
// first.
class BufferPool {
 public:
  // What the kernel registers as one buffer at most.
  static constexpr std::size_t kMostBytes = 1U << 30;

  // `buffer_size` a multiple of kBufferAlignment, `count` at least 1; together at most kMostBytes.
  [[nodiscard]] static Result<std::unique_ptr<BufferPool>> create(std::size_t buffer_size, std::size_t count);
  // With every buffer returned and every queue that registered it closed.
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // Contents are whatever the last user left. Empty at the limit.
  [[nodiscard]] PooledBuffer take();

  [[nodiscard]] std::size_t buffer_size() const noexcept { return buffer_size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t available() const;
  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }

 private:
  friend class PooledBuffer;
  BufferPool(AlignedBuffer memory, std::size_t buffer_size);
  void give_back(std::span<std::byte> buffer) noexcept;

  AlignedBuffer owned_;
  const std::span<std::byte> memory_;  // all of that
  const std::size_t buffer_size_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::vector<std::byte*> free_;  // guarded by mutex_; the last one given back is the first one taken: it is warm
};

}  // namespace ashlar::blockio
