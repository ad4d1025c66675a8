// A shared mutex whose writers are not starved: glibc's lets new readers in ahead of a waiting writer for ever.
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>

namespace ashlar {

// For std::shared_lock and std::unique_lock. Readers cost one more relaxed load than std::shared_mutex as long as no
// writer waits.
class FairSharedMutex {
 public:
  void lock() {
    const std::lock_guard gate(gate_);
    writer_waits_.store(true, std::memory_order_relaxed);
    mutex_.lock();
    writer_waits_.store(false, std::memory_order_relaxed);
  }
  void unlock() { mutex_.unlock(); }

  void lock_shared() {
    // Only a matter of turn: correctness rests on mutex_ alone.
    if (writer_waits_.load(std::memory_order_relaxed)) const std::lock_guard gate(gate_);
    mutex_.lock_shared();
  }
  // Not while a writer waits either.
  [[nodiscard]] bool try_lock_shared() {
    return !writer_waits_.load(std::memory_order_relaxed) && mutex_.try_lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
  std::mutex gate_;  // held by the writer that waits for mutex_; readers that come later queue up behind it
  std::atomic<bool> writer_waits_{false};
};

}  // namespace ashlar
