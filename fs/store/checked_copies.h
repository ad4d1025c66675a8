// The two copies of a piece of metadata, both looked at.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/superblock.h"

namespace ashlar::store {

struct CheckedCopies {
  std::array<Status, format::kCopies> copy;
  bool healed = false;  // the bad one was rewritten from the good one

  [[nodiscard]] bool any_good() const noexcept { return copy[0].has_value() || copy[1].has_value(); }
  [[nodiscard]] std::uint64_t bad() const noexcept {
    return static_cast<std::uint64_t>(!copy[0]) + static_cast<std::uint64_t>(!copy[1]);
  }
};

// Reads both copies at once, asks `verify` about each, and with `heal` rewrites a bad one from a good one
// (on the medium with the next flush). `offsets` in bytes; `image` and `second` have the size of a copy. `image` holds
// a good copy when there is one.
[[nodiscard]] CheckedCopies check_copies(blockio::IoQueue& io,
                                         const std::array<std::uint64_t, format::kCopies>& offsets,
                                         std::span<std::byte> image, std::span<std::byte> second,
                                         const std::function<Status(std::span<const std::byte>)>& verify, bool heal);

}  // namespace ashlar::store
