#include "blockio/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace ashlar::blockio {

AlignedBuffer::AlignedBuffer(std::size_t size) {
  if (size == 0) return;
  const std::size_t rounded = (size + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kBufferAlignment, rounded)));
  if (!data_) return;
  std::memset(data_.get(), 0, rounded);
  size_ = size;
}

AlignedBuffer AlignedBuffer::in_huge_pages(std::size_t size) {
  AlignedBuffer buffer;
  const std::size_t length = (size + kHugePageSize - 1) / kHugePageSize * kHugePageSize;
  if (length == 0) return buffer;
  // One more, to be cut off before and after the part that is aligned.
  const std::size_t reserved = length + kHugePageSize;
  void* const memory = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return buffer;
  auto* const begin = static_cast<std::byte*>(memory);
  const std::size_t before = (kHugePageSize - reinterpret_cast<std::uintptr_t>(begin) % kHugePageSize) % kHugePageSize;
  if (before != 0) munmap(begin, before);
  munmap(begin + before + length, reserved - before - length);
  buffer.data_ = {begin + before, Free{length}};
  buffer.size_ = size;
  // A wish: with small pages everything works as well.
  static_cast<void>(madvise(buffer.data_.get(), length, MADV_HUGEPAGE));
  return buffer;
}

void AlignedBuffer::Free::operator()(std::byte* p) const noexcept {
  if (mapped == 0) {
    std::free(p);
  } else {
    munmap(p, mapped);
  }
}

}  // namespace ashlar::blockio
