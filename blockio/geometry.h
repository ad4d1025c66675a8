// What a device says of itself.
#pragma once

#include <cstdint>
#include <string>

namespace ashlar::blockio {

enum class DeviceKind : std::uint8_t { block_device, partition, loop_device, image_file, memory };

[[nodiscard]] constexpr bool is_block_device(DeviceKind kind) noexcept {
  return kind == DeviceKind::block_device || kind == DeviceKind::partition || kind == DeviceKind::loop_device;
}

// All sizes in bytes.
struct Geometry {
  DeviceKind kind = DeviceKind::memory;
  std::uint64_t size = 0;                 // of the window that the volume may use
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
