// Keeps count of data written outside of transactions, which only a flush of the device makes durable.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "fs/store/store.h"

namespace ashlar::volume {

// Thread-safe.
class InPlaceWrites {
 public:
  // A write in place has completed, and its caller has not been told yet.
  void note() noexcept { made_.fetch_add(1, std::memory_order_acq_rel); }

  // What was noted before is on the medium when this returns ok. Those that come together share a flush.
  [[nodiscard]] Status flush(store::Store& store, blockio::IoQueue& io) {
    const std::uint64_t wanted = made_.load(std::memory_order_acquire);
    if (flushed_.load(std::memory_order_acquire) >= wanted) return {};
    const std::lock_guard guard(flushing_);
    if (flushed_.load(std::memory_order_acquire) >= wanted) return {};
    const std::uint64_t covered = made_.load(std::memory_order_acquire);
    TRY(store.flush_device(io));
    flushed_.store(covered, std::memory_order_release);
    return {};
  }

 private:
  std::atomic<std::uint64_t> made_{0};
  std::atomic<std::uint64_t> flushed_{0};
  std::mutex flushing_;  // held across the flush
};

}  // namespace ashlar::volume
