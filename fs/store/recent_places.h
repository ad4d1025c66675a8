// Whether what was missed lies near what was missed shortly before, so that what lies around it will be wanted too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace ashlar::store {

// Remembers a few places, as many walks may go on at a time. Thread-safe.
class RecentPlaces {
 public:
  // Notes the place; whether another one at most `distance` from it, in the same space, was noted lately. Spaces are
  // told apart by address alone, which need not lead anywhere any more.
  [[nodiscard]] bool note(const void* space, std::uint64_t place, std::uint64_t distance);

 private:
  static constexpr std::size_t kWalks = 8;
  struct Noted {
    const void* space = nullptr;
    std::uint64_t place = 0;
  };

  std::mutex mutex_;
  std::array<Noted, kWalks> noted_{};  // guarded by mutex_
  std::size_t next_ = 0;
};

}  // namespace ashlar::store
