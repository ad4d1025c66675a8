// What several system calls want in a form of their own.
#pragma once

#include <linux/falloc.h>

#include <chrono>
#include <cstdint>
#include <ctime>

#include "blockio/io_op.h"

namespace ashlar::blockio {

// `Time`: timespec, or the kernel's own. Not negative.
template <typename Time = timespec>
[[nodiscard]] Time time_of(std::chrono::nanoseconds length) noexcept {
  constexpr std::int64_t kSecond = 1'000'000'000;
  Time time{};
  time.tv_sec = length.count() / kSecond;
  time.tv_nsec = length.count() % kSecond;
  return time;
}

// Of a discard or write_zeroes by fallocate().
[[nodiscard]] constexpr int fallocate_mode(OpKind kind) noexcept {
  return FALLOC_FL_KEEP_SIZE | (kind == OpKind::discard ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

}  // namespace ashlar::blockio
