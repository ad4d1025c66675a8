// What a device says of itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace ashlar::blockio {

enum class DeviceKind : std::uint8_t { block_device, partition, loop_device, image_file, memory };

[[nodiscard]] constexpr bool is_block_device(DeviceKind kind) noexcept {
  return kind == DeviceKind::block_device || kind == DeviceKind::partition || kind == DeviceKind::loop_device;
}

// A number of bytes that the threads of all queues may read while a device that has grown gets another.
class DeviceSize {
 public:
  constexpr DeviceSize(std::uint64_t bytes = 0) noexcept : bytes_(bytes) {}
  DeviceSize(const DeviceSize& other) noexcept : bytes_(std::uint64_t{other}) {}
  DeviceSize& operator=(const DeviceSize& other) noexcept {
    bytes_.store(other, std::memory_order_relaxed);
    return *this;
  }
  operator std::uint64_t() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> bytes_;
};

// All sizes in bytes.
struct Geometry {
  DeviceKind kind = DeviceKind::memory;
  DeviceSize size;                        // of the window that the volume may use; see BlockDevice::measure()
  std::uint32_t logical_sector = 512;     // the least unit of a transfer, and what a write tears at
  std::uint32_t physical_sector = 512;    // writes smaller than this are read-modify-write inside the device
  std::uint32_t memory_alignment = 512;   // of buffers; ours are 4096 whatever this says
  std::uint32_t optimal_io = 0;           // 0: unknown
  std::uint64_t discard_granularity = 0;  // 0: cannot discard
  std::uint64_t discard_max = 0;
  std::uint64_t write_zeroes_max = 0;  // 0: zeroes must be written
  std::uint64_t window_offset = 0;     // where the window begins on the device
  // A write with RWF_DSYNC also flushes what completed before it. Not so where the kernel may turn it into a forced
  // unit access: there a durable write is a write and a flush.
  bool durable_write_flushes = false;
  bool volatile_write_cache = true;  // acknowledged writes need a flush to be durable
  bool read_only = false;
};

}  // namespace ashlar::blockio
