// The queue of a real device: all policy above the engines.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "blockio/engine.h"
#include "blockio/geometry.h"
#include "blockio/helper_threads.h"
#include "blockio/io_queue.h"
#include "blockio/op_list.h"
#include "blockio/op_slot.h"

namespace ashlar::blockio {

// How often a step is repeated that the kernel answers with EAGAIN or EINTR, at once and then a millisecond apart,
// before it fails with that.
inline constexpr std::uint32_t kMostRetries = 100;
inline constexpr std::uint32_t kImmediateRetries = 8;

// Opens an engine of another depth for the queue, whose own is still there.
using EngineOpener = std::function<Result<OpenedEngine>(const IoQueue& queue, std::uint32_t depth)>;

// What the queue needs besides its engine.
struct DeviceQueueSetup {
  EngineSelection selection;
  EngineOpener open_engine;          // for resize()
  std::unique_ptr<Waker> waker;      // of a wakeable queue
  HelperThreads* helpers = nullptr;  // outlives the queue; none: their work is done on the owner's thread
  int descriptor = -1;               // of the device, for them
  bool merge = true;
  bool send_early = false;
};

// An operation occupies a slot from submit to completion and goes to the engine in steps of at most kMaxTransfer: what
// a step did not move is sent again from there. Neighbours in one submit() share a slot; where their common step fails
// each is sent by itself.
class DeviceQueue final : public IoQueue {
 public:
  // The geometry outlives the queue.
  DeviceQueue(std::unique_ptr<Engine> engine, const Geometry& geometry, DeviceQueueSetup setup);
  ~DeviceQueue() override;

  void submit(std::span<IoOp* const> ops) override;
  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override;
  void advance(std::size_t min) override;
  void drain() override;
  void cancel(IoOp& op) override;
  [[nodiscard]] Status resize(std::uint32_t depth) override;
  [[nodiscard]] bool takes_commands() const noexcept override { return engine_->handles(OpKind::command); }
  [[nodiscard]] Waker* waker() noexcept override { return wakeable_ ? waker_.get() : nullptr; }
  [[nodiscard]] int ring_descriptor() const noexcept override { return engine_->ring_descriptor(); }

 private:
  static constexpr std::uint32_t kNowhere = UINT32_MAX;  // the place of an operation that has no slot

  [[nodiscard]] static IoOp*& link(IoOp& op) noexcept { return next_of(op); }
  [[nodiscard]] static IoOp* next(IoOp& op) noexcept { return next_of(op); }
  [[nodiscard]] bool is_idle() const noexcept { return free_.size() == slots_.size() && ended_.empty(); }
  [[nodiscard]] bool needs_second_flush(const IoOp& op) const noexcept;
  [[nodiscard]] bool needs_helper(OpKind kind) const noexcept;
  // Whether the engine holds something that the device will end; a watch may be there for ever.
  [[nodiscard]] bool awaits_device() const noexcept;
  void check_engine() const noexcept {
    if (engine_->failure()) give_up();
  }
  [[noreturn]] void give_up() const noexcept;

  void make_slots(std::size_t count);

  // submission (device_queue.cc)
  // Leaves them to the wait after it, which enters the kernel anyway.
  void enqueue(std::span<IoOp* const> ops) override;
  [[nodiscard]] bool may_join(const OpSlot& slot, const IoOp& op) const noexcept;
  void join(OpSlot& slot, IoOp& op);
  OpSlot& take_slot(IoOp& op);
  void start_ready();
  void send();

  // waiting (device_queue.cc)
  std::size_t progress(std::size_t min, std::int64_t until, bool heed_wake);
  void reap(std::size_t min, std::int64_t time, std::int64_t until);
  [[nodiscard]] std::size_t reap_engine(std::size_t min, std::optional<std::chrono::nanoseconds> timeout);
  void run_ended();
  void await_wake(std::optional<std::chrono::nanoseconds> timeout);
  void arm_wake();
  void cancel_watches();

  // a slot's way (device_queue_steps.cc)
  void prepare_step(OpSlot& slot);
  void prepare_range(OpSlot& slot);
  void hand_to_helper(OpSlot& slot);
  static void help(HelperJob& job) noexcept;
  void collect_helped();
  void settle(OpSlot& slot);
  void settle_command(OpSlot& slot);
  void settle_bytes(OpSlot& slot);
  void retry(OpSlot& slot);
  void fail_step(OpSlot& slot, ErrorCode error);
  void end_first(OpSlot& slot, std::optional<ErrorCode> error);
  void release(OpSlot& slot);
  void stop(OpSlot& slot);
  void set_timer(std::int64_t at) noexcept;
  void fire_timers(std::int64_t time);

  std::unique_ptr<Waker> waker_;  // declared before the engine: that may watch it
  std::unique_ptr<Engine> engine_;
  const Geometry& geometry_;
  HelperThreads* const helpers_;
  const int descriptor_;
  const bool merge_;
  const bool send_early_;
  const bool wakeable_;
  const EngineOpener open_engine_;
  std::vector<OpSlot> slots_;
  std::unique_ptr<iovec[]> segments_;  // of the slots; memory that no step needs is never touched
  std::vector<OpSlot*> free_;
  std::vector<Transfer*> ready_;  // to be handed to the engine, in order
  OpList<link> ended_;            // outcome known, completion to be run
  Transfer wake_;                 // the watch on waker_
  bool wake_armed_ = false;
  bool wake_refused_ = false;  // the kernel does not watch it
  bool writes_zeros_ = false;  // the device or file system has no zeroing
  bool woken_ = false;
  bool draining_ = false;
  bool unsent_ = false;               // the engine holds transfers that the kernel has not seen
  std::uint32_t completing_ = 0;      // calls of run_ended() under way
  std::size_t in_engine_ = 0;         // transfers, without wake_
  std::size_t helped_in_flight_ = 0;  // slots at the helpers
  std::size_t joined_ = 0;            // operations beyond the first of their slot
  std::size_t unplain_ = 0;           // slots that are
  std::uint64_t completed_ = 0;       // completions run so far
  std::int64_t next_timer_ = kNever;  // not after the earliest deadline or resumption
  std::uint32_t shortages_ = 0;       // times in a row that an idle engine took nothing
  std::mutex helped_mutex_;
  HelperJob* helped_ = nullptr;  // back from the helpers; guarded by helped_mutex_
};

}  // namespace ashlar::blockio
