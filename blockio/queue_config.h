// How a queue is set up, and what came of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ashlar::blockio {

class BufferPool;
class IoQueue;

enum class EngineChoice : std::uint8_t { automatic, io_uring, aio };

// For what a kernel or device may not have: without it, if it can be had, or an error when it cannot. With AIO what is
// of io_uring cannot.
enum class Wish : std::uint8_t { no, if_possible, required };

inline constexpr std::uint32_t kMaxQueueDepth = 4096;

// docs/io-engines.md says what each buys. The defaults are for a queue owned by one thread that waits for its I/O.
struct QueueConfig {
  EngineChoice engine = EngineChoice::automatic;
  std::uint32_t depth =
      64;                 // operations in flight at most; 1 to kMaxQueueDepth. AIO may give less: see EngineSelection
  bool wakeable = false;  // the queue has a waker()
  bool merge = true;      // neighbours in one submit() go out as one transfer
  // What a completion submits is sent before the next completion runs, instead of together with the rest: the device
  // idles less, for a system call each.
  bool send_early = false;

  // Of io_uring. What the kernel does not know is left out, one at a time and the youngest first: defer_taskrun,
  // single_issuer, commands_to, coop_taskrun, start_disabled, share_workers_with, clamp.
  bool clamp = true;           // a ring smaller than asked for rather than none
  bool coop_taskrun = true;    // completions do not interrupt this thread (used where defer_taskrun is not)
  bool single_issuer = true;   // one thread submits
  bool defer_taskrun = true;   // completions are processed when this thread asks; needs single_issuer
  bool start_disabled = true;  // the ring belongs to the thread that uses it first, not to the one that opens it
  bool register_file = true;   // spares the kernel a reference count an operation
  std::uint32_t completion_entries = 0;             // more than can be needed; 0: no more
  Wish poll_device = Wish::no;                      // IOPOLL: busy waiting; needs a driver with polled queues
  Wish submission_thread = Wish::no;                // SQPOLL: a kernel thread that takes submissions, and a processor
  std::chrono::milliseconds submission_idle{1000};  // of that thread, before it sleeps
  std::optional<std::uint32_t> submission_cpu;      // where it runs
  // An open file that takes commands of a ring (IoOp::command), which makes the ring's entries twice as wide; -1: none.
  // It outlives the queue.
  int commands_to = -1;
  const IoQueue* share_workers_with = nullptr;  // an io_uring queue whose kernel workers this one uses too
  BufferPool* buffers = nullptr;  // registered where the memory limit allows; outlives the queue. Any memory may still
                                  // be used
};

// The engine that a queue uses.
struct EngineSelection {
  EngineChoice engine = EngineChoice::automatic;  // never automatic once selected; so for the doubles
  std::string flags;                              // of the ring, and what is registered with it
  std::string reason;                             // why this one, for people
  std::string dropped;                            // what was asked for and is not there, and the first error; or empty
  std::uint32_t depth = 0;                        // operations in flight at most
};

[[nodiscard]] std::string_view name_of(EngineChoice engine) noexcept;

}  // namespace ashlar::blockio
