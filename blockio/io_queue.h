// A submission queue on a device. Made anywhere, it belongs to the thread that submits first; destroying it, idle, may
// be left to another. No lock inside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "blockio/io_op.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

class IoQueue {
 public:
  virtual ~IoQueue() = default;  // drains first
  IoQueue(const IoQueue&) = delete;
  IoQueue& operator=(const IoQueue&) = delete;

  // Takes every operation; an operation that cannot be started completes with its error like any other. Blocks,
  // reaping, while the queue is at its depth.
  virtual void submit(std::span<IoOp* const> ops) = 0;

  // Runs completions until at least `min` ran or `timeout` passed; returns how many ran. Nothing in flight: returns 0.
  virtual std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout = std::nullopt) = 0;

  // Until nothing is in flight.
  virtual void drain() = 0;

  // Submits all and waits until these completed (others may complete too). The first error, if any. Each operation
  // keeps its own outcome.
  [[nodiscard]] Status run(std::span<IoOp* const> ops);
  [[nodiscard]] Status run(IoOp& op);

 protected:
  IoQueue() = default;

  // Marks the operation as taken, as failed or as done; the latter two run its completion.
  static void begin(IoOp& op) noexcept;
  static void finish(IoOp& op) noexcept;
  static void finish(IoOp& op, ErrorCode error) noexcept;
};

}  // namespace ashlar::blockio
