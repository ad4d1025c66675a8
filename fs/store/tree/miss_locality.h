// Whether nodes that were not in memory lie near each other, so that their neighbours will be wanted too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace ashlar::store {

struct Node;

// Remembers the last few misses. Several walks may go on at a time, each in its own part of the tree. Thread-safe.
class MissLocality {
 public:
  // Children of one parent up to here from each other are near.
  static constexpr std::uint32_t kNear = 16;

  // A child of `parent` was missed: whether another one near it was lately. Parents are told apart by address alone;
  // one that is gone does no harm.
  [[nodiscard]] bool note(const Node* parent, std::uint32_t index);

 private:
  static constexpr std::size_t kWalks = 8;
  struct Miss {
    const Node* parent = nullptr;
    std::uint32_t index = 0;
  };

  std::mutex mutex_;
  std::array<Miss, kWalks> recent_{};  // guarded by mutex_
  std::size_t next_ = 0;
};

}  // namespace ashlar::store
