// A submission queue on a device. Made anywhere, it belongs to the thread that submits first; destroying it, idle, may
// be left to another. No lock inside it. Only waker() and statistics() are for other threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "blockio/io_op.h"
#include "blockio/queue_config.h"
#include "blockio/queue_statistics.h"
#include "blockio/waker.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

class QueueLedger;

class IoQueue {
 public:
  virtual ~IoQueue();  // drains first
  IoQueue(const IoQueue&) = delete;
  IoQueue& operator=(const IoQueue&) = delete;

  // Takes every operation; an operation that cannot be started completes with its error like any other. Blocks,
  // reaping, while the queue is at its depth (and for ever where that is all watches). Nothing orders operations that
  // are in flight together.
  virtual void submit(std::span<IoOp* const> ops) = 0;

  // Runs completions until at least `min` ran, `timeout` passed or the waker was called; returns how many ran. Nothing
  // in flight: returns 0 at once, unless the queue is wakeable: then it waits for that.
  virtual std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout = std::nullopt) = 0;

  // As wait() without a time limit, but a call of the waker is left for the next wait().
  virtual void advance(std::size_t min) { wait(min); }

  // Until nothing is in flight. Watches are cancelled, those too that completions submit meanwhile.
  virtual void drain() = 0;

  // Asks for an early end of an operation that this queue took and has not completed. It completes in any case, in
  // wait(): with `cancelled` when it could be stopped, otherwise as it ended. What has not reached the kernel or a
  // helper thread, and a watch, can always be stopped, unless merged; a transfer under way hardly ever.
  virtual void cancel(IoOp& /*op*/) {}

  // So many operations may be in flight from now on. `busy` while any is, and in a completion; invalid_argument outside
  // 1 to kMaxQueueDepth. With any other error there is no engine of that depth, and the queue is as it was.
  [[nodiscard]] virtual Status resize(std::uint32_t depth) = 0;

  // Submits all and waits until these completed (others may complete too). The first error, if any. Each operation
  // keeps its own outcome.
  [[nodiscard]] Status run(std::span<IoOp* const> ops);
  [[nodiscard]] Status run(IoOp& op);

  // Whether it has a file for IoOp::command, which fails with not_supported otherwise.
  [[nodiscard]] virtual bool takes_commands() const noexcept { return false; }

  // Null unless opened wakeable.
  [[nodiscard]] virtual Waker* waker() noexcept { return nullptr; }
  // Since it was opened.
  [[nodiscard]] virtual const QueueStatistics& statistics() const noexcept { return statistics_; }
  // What the configuration came to.
  [[nodiscard]] virtual const EngineSelection& selection() const noexcept { return selection_; }
  // Of the ring, for share_workers_with; -1 where there is none.
  [[nodiscard]] virtual int ring_descriptor() const noexcept { return -1; }

 protected:
  IoQueue() = default;

  // As submit(), with advance() following at once.
  virtual void enqueue(std::span<IoOp* const> ops) { submit(ops); }

  // Nanoseconds of the monotonic clock; when a time-out from now on ends, kNever without.
  [[nodiscard]] static std::int64_t now() noexcept;
  [[nodiscard]] static std::int64_t end_of(std::optional<std::chrono::nanoseconds> timeout) noexcept;

  // An operation's way: taken, its outcome known, its completion run.
  static void begin(IoOp& op, std::int64_t time) noexcept;
  static void decide(IoOp& op, std::optional<ErrorCode> error) noexcept;
  void finish(IoOp& op, std::int64_t time) noexcept;
  [[nodiscard]] bool is_completing() const noexcept { return completions_running_ != 0; }

  [[nodiscard]] static std::uint32_t& place_of(IoOp& op) noexcept { return op.place_; }
  [[nodiscard]] static IoOp*& next_of(IoOp& op) noexcept { return op.next_; }
  [[nodiscard]] static std::int64_t deadline_of(const IoOp& op) noexcept;  // kNever without

  static constexpr std::int64_t kNever = INT64_MAX;

  QueueStatistics statistics_;
  EngineSelection selection_;

 private:
  friend class QueueLedger;
  void count(const IoOp& op) noexcept;

  QueueLedger* ledger_ = nullptr;  // that counts what this queue did
  std::uint32_t completions_running_ = 0;
};

}  // namespace ashlar::blockio
