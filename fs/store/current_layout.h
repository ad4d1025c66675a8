// Where the fixed parts of a volume lie that may grow while it is in use.
#pragma once

#include <atomic>
#include <deque>

#include "fs/format/layout.h"

namespace ashlar::store {

// Thread-safe. What get() returned stays as it was, and where it is, for as long as this lives: whoever has begun with
// it may end with it. Whoever has found something that lies in what a volume has gained sees a layout that has it.
class CurrentLayout {
 public:
  explicit CurrentLayout(const format::Layout& first) : all_{first}, now_(&all_.back()) {}
  CurrentLayout(const CurrentLayout&) = delete;
  CurrentLayout& operator=(const CurrentLayout&) = delete;

  [[nodiscard]] const format::Layout& get() const noexcept { return *now_.load(std::memory_order_acquire); }
  // One thread at a time.
  void replace(const format::Layout& next) {
    all_.push_back(next);
    now_.store(&all_.back(), std::memory_order_release);
  }

 private:
  std::deque<format::Layout> all_;  // moves nothing that it holds
  std::atomic<const format::Layout*> now_;
};

}  // namespace ashlar::store
