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
// submitted after it completed has completed. Completed means that the submitter was told, in wait() or drain().
class RecordingDevice final : public BlockDevice {
 public:
  explicit RecordingDevice(MemoryImage base, const MemoryDeviceOptions& options = {});

  [[nodiscard]] const Geometry& geometry() const noexcept override { return memory_.geometry(); }
  [[nodiscard]] const std::string& name() const noexcept override { return memory_.name(); }
  [[nodiscard]] Result<std::uint64_t> measure() override { return memory_.measure(); }
  // Durable at once, and no event: every state shown has the size that the device has come to.
  [[nodiscard]] Status extend(std::uint64_t size) override;
  void enlarge(std::uint64_t size);  // as MemoryDevice's
  [[nodiscard]] Result<std::unique_ptr<IoQueue>> open_queue(const QueueConfig& config) override;

  [[nodiscard]] std::size_t event_count() const;
  [[nodiscard]] RecordedEvent event(std::size_t index) const;
  [[nodiscard]] MemoryImage contents() const { return memory_.snapshot(); }

  // The device after a power cut when `events` events had happened and all had completed that did before the next one.
  // What was durable then is there; each later write (zeroing, discard) is, by turns of `random`: there, lost, or torn
  // (some of its sectors there). Without `random` all of them are there, in order: the state at a write boundary.
  [[nodiscard]] MemoryImage after_power_cut(std::size_t events, std::mt19937_64* random = nullptr) const;

  // Which events of the first `events` are then on the medium for good.
  [[nodiscard]] std::vector<bool> durable_after(std::size_t events) const;

  // As after_power_cut(), a moment earlier: the last of these `events`, and what else had not completed when it was
  // submitted, is still under way. So a durable write may have arrived while the writes that it was to make durable did
  // not.
  [[nodiscard]] MemoryImage during_last(std::size_t events, std::mt19937_64& random) const;

 private:
  struct Recorded {
    RecordedEvent event;
    std::size_t completed = SIZE_MAX;  // how many events there were when it did
  };

  [[nodiscard]] std::optional<ErrorCode> perform(const IoOp& op, std::size_t& ticket);
  // Which of the first `events` are durable, those being complete that were before event `complete_before` (an event
  // that completed when there were fewer).
  [[nodiscard]] std::vector<bool> durable(std::size_t events, std::size_t complete_before) const;
  [[nodiscard]] MemoryImage after(std::size_t events, std::size_t complete_before, std::mt19937_64* random) const;
  void apply(const RecordedEvent& event, MemoryImage& image) const;
  void apply_torn(const RecordedEvent& event, MemoryImage& image, std::mt19937_64& random) const;

  MemoryImage base_;  // guarded by mutex_
  MemoryDevice memory_;
  mutable std::mutex mutex_;
  std::vector<Recorded> events_;  // guarded by mutex_
};

}  // namespace ashlar::blockio
