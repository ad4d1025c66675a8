// Where an operation, or neighbours that go out together, lives from submit to completion.
#pragma once

#include <cstdint>

#include "blockio/engine.h"
#include "blockio/helper_threads.h"

namespace ashlar::blockio {

class DeviceQueue;

// The most one transfer moves: larger O_DIRECT requests are split by the kernel and may end half done.
inline constexpr std::uint64_t kMaxTransfer = 1U << 20;
// What the first step discards or zeroes, and the most that any does; their ends are multiples of it. A cancellation or
// deadline is heeded between steps, and nothing waits long behind one: a step is twice the one before while they are
// quick. The kernel cuts it to what the device takes at once (discard_max).
inline constexpr std::uint64_t kFirstRange = 1ULL << 30;
inline constexpr std::uint64_t kMaxRange = 64ULL << 30;
inline constexpr std::int64_t kQuickRange = 10'000'000;  // nanoseconds

struct OpSlot : HelperJob {
  enum class Place : std::uint8_t { free, ready, engine, helper, delayed };

  DeviceQueue* queue = nullptr;
  Transfer transfer;
  IoOp* first = nullptr;  // in the device's order, linked; each begins where the one before it ends
  IoOp* last = nullptr;
  std::uint64_t length = 0;  // of all
  std::uint64_t moved = 0;   // of that, from the front, done
  std::size_t segment_count = 0;
  std::uint64_t range = 0;       // bytes that the step discards or zeroes at most
  std::int64_t range_began = 0;  // when that step did
  std::uint32_t retries = 0;     // in a row, of the step
  Place place = Place::free;
  bool flushing = false;    // the second half of a durable write
  bool one_by_one = false;  // a step of all together failed: each finds out for itself
  bool unplain = false;     // more than one step may be needed, or the kernel is not what ends it
  bool cancelled = false;
  bool expired = false;
  std::int64_t deadline = 0;
  std::int64_t resume_at = 0;  // of a delayed one
  iovec* segments = nullptr;   // of the step; room for kMaxSegments

  [[nodiscard]] bool is_stopping() const noexcept { return cancelled || expired; }

  // Sets the transfer's memory to `wanted` bytes from `moved` on.
  void gather(std::uint64_t wanted, IoOp* (*next)(IoOp&));
  // Sets it to `wanted` bytes of zeros, at most kMaxTransfer.
  void gather_zeros(std::uint64_t wanted);

 private:
  void add(std::byte* base, std::uint64_t bytes);
};

}  // namespace ashlar::blockio
