// Which nodes somebody is reading ahead, so that of several who miss leaves near each other only one does.
#pragma once

#include <algorithm>
#include <mutex>
#include <vector>

#include "fs/base/types.h"

namespace ashlar::store {

// Thread-safe. Holds no more than the readers at work have claimed: a scan of it is short.
class ReadAheadClaims {
 public:
  // What one reader has claimed, until it ends.
  class Claimed {
   public:
    explicit Claimed(ReadAheadClaims& all) noexcept : all_(all) {}
    ~Claimed() { all_.release(mine_); }
    Claimed(const Claimed&) = delete;
    Claimed& operator=(const Claimed&) = delete;

    // False: somebody else has it. A node is told apart by its first copy's block.
    [[nodiscard]] bool add(BlockNumber node) {
      if (!all_.claim(node)) return false;
      mine_.push_back(node);
      return true;
    }

   private:
    ReadAheadClaims& all_;
    std::vector<BlockNumber> mine_;
  };

 private:
  [[nodiscard]] bool claim(BlockNumber node) {
    const std::lock_guard guard(mutex_);
    if (std::find(claimed_.begin(), claimed_.end(), node) != claimed_.end()) return false;
    claimed_.push_back(node);
    return true;
  }

  void release(const std::vector<BlockNumber>& nodes) noexcept {
    const std::lock_guard guard(mutex_);
    for (const BlockNumber node : nodes) {
      *std::find(claimed_.begin(), claimed_.end(), node) = claimed_.back();
      claimed_.pop_back();
    }
  }

  std::mutex mutex_;
  std::vector<BlockNumber> claimed_;  // guarded by mutex_
};

}  // namespace ashlar::store
