// Ends a queue's wait() from another thread.
#pragma once

#include <atomic>
#include <memory>

#include "fs/base/result.h"

namespace ashlar::blockio {

class Waker {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Waker>> create();
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  // From any thread, as long as the queue lives: the owner's wait() returns, the running one or else the next. Several
  // calls may end one wait only.
  void wake() noexcept;

  // The queue's: a descriptor that is readable from wake() to take(), which says whether somebody called.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] bool take() noexcept;

  // The queue's helpers: makes the descriptor readable without ending the owner's wait().
  void ring() noexcept;

 private:
  explicit Waker(int descriptor) noexcept : descriptor_(descriptor) {}

  int descriptor_;
  std::atomic<bool> rung_{false};  // the descriptor is readable, or about to be
  std::atomic<bool> called_{false};
};

}  // namespace ashlar::blockio
