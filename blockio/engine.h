// What an I/O engine does, and all that it does: start transfers and reap them. Every policy (splitting, short
// transfers, retries, bounds, backpressure) stands once, above, in DeviceQueue.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "blockio/io_op.h"
#include "blockio/queue_config.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

// One system-level operation; owned by the queue above, which keeps it in place while it is in flight.
struct Transfer {
  std::size_t slot = 0;  // the queue's, to find its way back
  OpKind kind = OpKind::flush;
  bool durable = false;  // a write with RWF_DSYNC
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  const iovec* segments = nullptr;
  unsigned segment_count = 0;
  std::int64_t result = 0;  // bytes, or -errno; set by reap()
};

// Used by one thread at a time. Destroyed with nothing in flight.
class Engine {
 public:
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Hands transfers to the kernel in order; returns how many it took. Fewer than given (0 included) when the kernel
  // wants some to be reaped first. A transfer that it refuses counts as taken and comes out of reap() with its -errno.
  [[nodiscard]] virtual std::size_t start(std::span<Transfer* const> transfers) = 0;

  // Fills `finished` with transfers that ended: at least `min` unless `timeout` passes first or fewer are in flight;
  // returns how many.
  [[nodiscard]] virtual std::size_t reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout,
                                         std::span<Transfer*> finished) = 0;

 protected:
  Engine() = default;
};

// Both need a descriptor that outlives the engine. The error says which call failed and why.
[[nodiscard]] Result<std::unique_ptr<Engine>> open_uring_engine(int descriptor, const QueueConfig& config,
                                                                std::string& flags);
[[nodiscard]] Result<std::unique_ptr<Engine>> open_aio_engine(int descriptor, const QueueConfig& config);

}  // namespace ashlar::blockio
