// A device in memory: the double for tests of every layer above.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "blockio/block_device.h"

namespace ashlar::blockio {

// The contents of a device. Copying is cheap: pages are shared until one of the copies changes them. Not thread-safe.
class MemoryImage {
 public:
  static constexpr std::size_t kPageSize = 4096;

  explicit MemoryImage(std::uint64_t size) : size_(size), pages_((size + kPageSize - 1) / kPageSize) {}
  void grow(std::uint64_t size);  // by zeros

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // The range lies inside the image.
  void read(std::uint64_t offset, std::span<std::byte> buffer) const;
  void write(std::uint64_t offset, std::span<const std::byte> data);
  void zero(std::uint64_t offset, std::uint64_t length);

 private:
  using Page = std::array<std::byte, kPageSize>;
  Page& writable_page(std::size_t index);

  std::uint64_t size_;
  std::vector<std::shared_ptr<Page>> pages_;  // null: zeros
};

struct MemoryDeviceOptions {
  std::uint32_t sector = 512;
  bool read_only = false;
  std::string name = "memory";
};

// Thread-safe. Operations take effect when submitted, and complete in wait() like any other.
class MemoryDevice final : public BlockDevice {
 public:
  explicit MemoryDevice(std::uint64_t size, const MemoryDeviceOptions& options = {});
  explicit MemoryDevice(MemoryImage image, const MemoryDeviceOptions& options = {});

  [[nodiscard]] const Geometry& geometry() const noexcept override { return geometry_; }
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] Result<std::uint64_t> measure() override;
  [[nodiscard]] Status extend(std::uint64_t size) override;  // as an image file
  [[nodiscard]] Result<std::unique_ptr<IoQueue>> open_queue(const QueueConfig& config) override;

  [[nodiscard]] MemoryImage snapshot() const;
  void restore(MemoryImage image);  // of the same size
  // Somebody makes the device larger: measure() tells.
  void enlarge(std::uint64_t size);

  // Carries out an operation that check_request() let pass.
  [[nodiscard]] std::optional<ErrorCode> perform(const IoOp& op);

 private:
  Geometry geometry_;
  std::string name_;
  mutable std::mutex mutex_;
  MemoryImage image_;  // guarded by mutex_
};

}  // namespace ashlar::blockio
