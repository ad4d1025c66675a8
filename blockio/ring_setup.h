// Setting up a ring as a configuration wants it, as far as the kernel goes along.
#pragma once

#include <liburing.h>

#include <string>

#include "blockio/queue_config.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

// What became of the configuration.
struct RingOutcome {
  unsigned flags = 0;   // IORING_SETUP_*
  std::string names;    // of those flags worth telling, separated by commas; "none" without
  std::string dropped;  // names of what was wished for and refused, and the first error
};

// Drops what the kernel does not know, youngest first, until it agrees; never what is required. The error is the first
// one met, with a hint at what to do about it.
[[nodiscard]] Result<RingOutcome> set_up_ring(io_uring& ring, const QueueConfig& config);

// In one line: the system call that failed, why, and a hint at what to do about it.
[[nodiscard]] Error refusal_of(const char* call, int error);

// Of a ring that was set up.
void tear_down_ring(io_uring& ring) noexcept;

}  // namespace ashlar::blockio
