// What an I/O engine does, and all that it does: start transfers and reap them. Every policy (splitting, merging, short
// transfers, retries, bounds, deadlines, backpressure) stands once, above, in DeviceQueue.
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

// The most transfers that a queue takes out of an engine at once.
inline constexpr std::size_t kReapBatch = 64;
// How long a kernel that is short of something is left alone.
inline constexpr std::chrono::nanoseconds kShortageDelay{1'000'000};

// One system-level operation; owned by the queue above, which keeps it in place while it is in flight.
struct Transfer {
  std::uint32_t slot = 0;  // the queue's, to find its way back
  OpKind kind = OpKind::flush;
  bool durable = false;           // a write with RWF_DSYNC
  int watched = -1;               // the descriptor of a watch
  const IoOp* command = nullptr;  // what a command hands over
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  const iovec* segments = nullptr;
  unsigned segment_count = 0;
  std::int64_t result = 0;  // bytes, or -errno; set by reap()
};

// Used by one thread at a time. Destroyed with nothing in flight but watches, which end there without a word.
class Engine {
 public:
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Whether it has an asynchronous form of that; start() is given nothing else.
  [[nodiscard]] virtual bool handles(OpKind kind) const noexcept = 0;

  // Takes transfers in order; returns how many. Fewer than given (0 included) when the kernel wants some to be reaped
  // first. A transfer that it refuses counts as taken and comes out of reap() with its -errno. The kernel may not see
  // them before kick() or reap().
  [[nodiscard]] virtual std::size_t start(std::span<Transfer* const> transfers) = 0;
  virtual void kick() = 0;

  // Waits until `min` transfers (at most those in flight) ended, `timeout` passed, or something else ended the wait,
  // such as a signal; fills `finished` with those that ended and returns how many.
  [[nodiscard]] virtual std::size_t reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout,
                                         std::span<Transfer*> finished) = 0;

  // Asks that a transfer in flight be given up. It comes out of reap() all the same: with -ECANCELED, or as it ended.
  virtual void cancel(Transfer& transfer) = 0;

  [[nodiscard]] virtual int ring_descriptor() const noexcept { return -1; }

  // Set when the kernel refused a call that nothing works without: what is in flight will never come out of reap().
  [[nodiscard]] const std::optional<Error>& failure() const noexcept { return failure_; }

 protected:
  Engine() = default;

  std::optional<Error> failure_;
};

// An engine with room for `selection.depth` transfers and a watch more.
struct OpenedEngine {
  std::unique_ptr<Engine> engine;
  EngineSelection selection;  // without the reason
};

// Both need a descriptor that outlives the engine. The error says which call failed and why.
[[nodiscard]] Result<OpenedEngine> open_uring_engine(int descriptor, const QueueConfig& config);
[[nodiscard]] Result<OpenedEngine> open_aio_engine(int descriptor, const QueueConfig& config);

}  // namespace ashlar::blockio
