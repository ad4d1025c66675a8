// The queue of a real device: all policy above the engines.
#pragma once

#include <memory>
#include <vector>

#include "blockio/engine.h"
#include "blockio/geometry.h"
#include "blockio/io_queue.h"

namespace ashlar::blockio {

// The most one transfer moves: larger O_DIRECT requests are split by the kernel and may end half done.
inline constexpr std::uint64_t kMaxTransfer = 1U << 20;

// An operation occupies a slot from submit to completion and goes to the engine in steps of at most kMaxTransfer: what
// a step did not move is sent again from there.
class DeviceQueue final : public IoQueue {
 public:
  // The geometry outlives the queue.
  DeviceQueue(std::unique_ptr<Engine> engine, const Geometry& geometry, std::uint32_t depth);
  ~DeviceQueue() override;

  void submit(std::span<IoOp* const> ops) override;
  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override;
  void drain() override;

 private:
  struct Slot {
    Transfer transfer;
    IoOp* op = nullptr;
    std::uint64_t moved = 0;      // bytes of the operation that are done
    bool flushing = false;        // the second half of a durable write
    std::vector<iovec> segments;  // of the step in flight
  };

  [[nodiscard]] bool is_idle() const noexcept { return free_.size() == slots_.size(); }
  void prepare_step(Slot& slot);
  static void gather_segments(Slot& slot, std::uint64_t length);
  void start_ready();
  // True when the operation is complete, with or without an error.
  [[nodiscard]] bool settle(Slot& slot);
  std::size_t reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout);
  void complete(Slot& slot, std::optional<ErrorCode> error);

  std::unique_ptr<Engine> engine_;
  const Geometry& geometry_;
  std::vector<Slot> slots_;
  std::vector<Slot*> free_;
  std::vector<Transfer*> ready_;  // to be handed to the engine, in order
  std::size_t completed_ = 0;     // completions run so far
};

}  // namespace ashlar::blockio
