// Tells when everybody who was reading has finished, so that blocks freed before can be reused. Two counters used in
// turn.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace ashlar::store {

// Thread-safe. Entering and leaving never block.
class Reclaim {
 public:
  class Guard {
   public:
    explicit Guard(Reclaim& reclaim) noexcept;
    ~Guard();
    Guard(Guard&& other) noexcept;
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    Guard& operator=(Guard&&) = delete;

   private:
    Reclaim* reclaim_;
    unsigned side_;
  };

  // Whoever holds a guard taken before this call has dropped it when it returns. One caller at a time.
  void wait_for_readers();

 private:
  std::atomic<unsigned> side_{0};
  std::array<std::atomic<std::uint64_t>, 2> readers_{};
};

}  // namespace ashlar::store
