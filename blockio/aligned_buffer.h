// Memory fit for direct I/O.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace ashlar::blockio {

inline constexpr std::size_t kBufferAlignment = 4096;
inline constexpr std::size_t kHugePageSize = 2U << 20;

// Owns `size` zeroed bytes aligned to kBufferAlignment. Move-only. Throws nothing: empty when memory is out.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size);
  // Aligned to kHugePageSize, and in huge pages where the kernel grants them: a transfer of a MiB is then one segment
  // for the device and not 256. Takes memory as it is touched, up to the next multiple of kHugePageSize.
  [[nodiscard]] static AlignedBuffer in_huge_pages(std::size_t size);

  [[nodiscard]] std::byte* data() noexcept { return data_.get(); }
  [[nodiscard]] const std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // Gives it up without freeing it; empty then.
  [[nodiscard]] std::byte* release() noexcept {
    size_ = 0;
    return data_.release();
  }
  [[nodiscard]] std::span<std::byte> span() noexcept { return {data_.get(), size_}; }
  [[nodiscard]] std::span<const std::byte> span() const noexcept { return {data_.get(), size_}; }

 private:
  struct Free {
    Free() noexcept : mapped(0) {}
    explicit Free(std::size_t bytes) noexcept : mapped(bytes) {}
    std::size_t mapped;  // bytes; 0: from the heap
    void operator()(std::byte* p) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

}  // namespace ashlar::blockio
