// Tells whether what was read from the device may have been overwritten with file data since.
#pragma once

#include <atomic>
#include <cstdint>

namespace ashlar::store {

// Changes whenever a write of file data to the device begins and when it has ended. A block that a committed
// transaction names, that nobody waits to write (Store::settle) and that was read in an epoch is still the same while
// the epoch lasts. Thread-safe.
class DataEpoch {
 public:
  void change() noexcept { changes_.fetch_add(1, std::memory_order_acq_rel); }
  [[nodiscard]] std::uint64_t now() const noexcept { return changes_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> changes_{1};
};

}  // namespace ashlar::store
