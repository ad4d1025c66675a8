// A device that lets a test see, delay or spoil every operation before it reaches the device behind.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "blockio/block_device.h"

namespace ashlar::store {

// Thread-safe as far as the watcher is. The device behind outlives it.
class WatchedDevice final : public blockio::BlockDevice {
 public:
  // Runs on the submitting thread, before the operation begins.
  using Watcher = std::function<void(blockio::IoOp&)>;

  explicit WatchedDevice(blockio::BlockDevice& behind) : behind_(behind) {}

  [[nodiscard]] const blockio::Geometry& geometry() const noexcept override { return behind_.geometry(); }
  [[nodiscard]] Result<std::uint64_t> measure() override { return behind_.measure(); }
  [[nodiscard]] Status extend(std::uint64_t size) override { return behind_.extend(size); }
  [[nodiscard]] const std::string& name() const noexcept override { return behind_.name(); }
  [[nodiscard]] Result<std::unique_ptr<blockio::IoQueue>> open_queue(const blockio::QueueConfig& config) override;

  // Replaces the watcher; none at first.
  void watch(Watcher watcher);
  // Makes an operation fail on its way to the device.
  static void spoil(blockio::IoOp& op) { op.offset = ~0ULL << 20; }

 private:
  friend class WatchedQueue;
  [[nodiscard]] std::shared_ptr<const Watcher> watcher() const;

  blockio::BlockDevice& behind_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Watcher> watcher_;
};

}  // namespace ashlar::store
