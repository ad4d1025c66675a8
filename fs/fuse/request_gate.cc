#include "fs/fuse/request_gate.h"

namespace ashlar::fuse {

bool RequestGate::enter() noexcept {
  if ((inside_.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) return true;
  leave();
  return false;
}

void RequestGate::leave() noexcept {
  if ((inside_.fetch_sub(1, std::memory_order_release) & kClosed) != 0) inside_.notify_all();
}

bool RequestGate::close() noexcept {
  std::uint64_t seen = inside_.fetch_or(kClosed, std::memory_order_acq_rel);
  if ((seen & kClosed) != 0) return false;
  // Who is refused counts for a moment, too; the wait ends all the same, because each leaves again.
  constexpr std::uint64_t kCallerAlone = kClosed | 1;
  for (seen |= kClosed; seen != kCallerAlone; seen = inside_.load(std::memory_order_acquire)) inside_.wait(seen);
  return true;
}

}  // namespace ashlar::fuse
