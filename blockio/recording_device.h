// A device that remembers every write and flush, and can show what a power cut at any moment might have left.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "blockio/block_device.h"
#include "blockio/memory_device.h"

namespace ashlar::blockio {

// Something that reached the device, in the order it did.
struct RecordedEvent {
  OpKind kind = OpKind::write;
  std::uint64_t offset = 0;
  std::vector<std::byte> data;  // of a write
  std::uint64_t length = 0;     // of a discard or write_zeroes
};

// Thread-safe. Behaves as a device with a volatile cache: a write is durable once a flush or durable write that was
// submitted after it completed has completed. (Operations take effect one after the other here, so that is: once such
// an event follows it.)
class RecordingDevice final : public BlockDevice {
 public:
  explicit RecordingDevice(MemoryImage base, const MemoryDeviceOptions& options = {});

  [[nodiscard]] const Geometry& geometry() const noexcept override { return memory_.geometry(); }
  [[nodiscard]] const std::string& name() const noexcept override { return memory_.name(); }
  [[nodiscard]] Result<std::unique_ptr<IoQueue>> open_queue(const QueueConfig& config) override;

  [[nodiscard]] std::size_t event_count() const;
  [[nodiscard]] RecordedEvent event(std::size_t index) const;
  [[nodiscard]] MemoryImage contents() const { return memory_.snapshot(); }

  // The device after a power cut when `events` events had happened. What was durable then is there; each later write
  // is, by turns of `random`: there, lost, or torn (some of its sectors there). Without `random` all of them are there,
  // in order: the state at a write boundary.
  [[nodiscard]] MemoryImage after_power_cut(std::size_t events, std::mt19937_64* random = nullptr) const;

 private:
  [[nodiscard]] std::optional<ErrorCode> perform(const IoOp& op);
  [[nodiscard]] std::size_t durable_before(std::size_t events) const;  // how many events are durable for sure
  void apply(const RecordedEvent& event, MemoryImage& image) const;
  void apply_torn(const RecordedEvent& event, MemoryImage& image, std::mt19937_64& random) const;

  MemoryImage base_;
  MemoryDevice memory_;
  mutable std::mutex mutex_;
  std::vector<RecordedEvent> events_;  // guarded by mutex_
};

}  // namespace ashlar::blockio
