// Keeps processors from sleeping while the daemon is busy.
//
// A request through FUSE waits for two threads to wake, the daemon's and the requester's. Waking a processor that has
// halted takes longer than serving most requests, in a virtual machine ten times as long. Linux lets a process bound
// that time for the whole machine (its power management's "CPU latency" quality of service); idle processors then wait
// awake, which costs energy, so it is asked for only while many requests come.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "fs/base/file_descriptor.h"
#include "fs/base/result.h"

namespace ashlar::daemon {

// Decides from how often the daemon's threads went to sleep whether it is busy: each such sleep ends with a wake-up
// that somebody waits for. Not thread-safe.
class BusyDetector {
 public:
  // As many sleeps a second begin it, and so few end it once they have been as few for a while.
  static constexpr std::uint64_t kBusyRate = 2000;
  static constexpr std::uint64_t kQuietRate = 500;
  static constexpr std::chrono::milliseconds kBusyFor{50};  // at least, since the last sample that was not quiet

  // `sleeps`: of the daemon since the sample before, `elapsed` ago. Returns whether it is busy.
  bool sample(std::uint64_t sleeps, std::chrono::nanoseconds elapsed) noexcept;
  // How long to wait before the next: longer the longer nothing happened.
  [[nodiscard]] std::chrono::milliseconds interval() const noexcept;

 private:
  bool busy_ = false;
  std::chrono::nanoseconds quiet_for_{0};
};

// Samples on a thread of its own, from construction to destruction. The limit ends with the process, however that ends.
class WakeupLatency {
 public:
  static constexpr const char* kControl = "/dev/cpu_dma_latency";

  // `control`: the kernel's file. `sleeps`: how often the daemon's threads have gone to sleep so far; called on the
  // thread. not_permitted and others when the file cannot be opened: who may is the administrator's choice.
  [[nodiscard]] static Result<std::unique_ptr<WakeupLatency>> start(const std::string& control,
                                                                    std::function<std::uint64_t()> sleeps);
  ~WakeupLatency();
  WakeupLatency(const WakeupLatency&) = delete;
  WakeupLatency& operator=(const WakeupLatency&) = delete;

 private:
  WakeupLatency(int control, std::function<std::uint64_t()> sleeps);
  void run();
  // In microseconds.
  void limit_to(std::int32_t latency) const;

  const FileDescriptor control_;
  const std::function<std::uint64_t()> sleeps_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  std::thread thread_;
};

// Of this process: the switches of its threads that were no preemption.
[[nodiscard]] std::uint64_t sleeps_of_process() noexcept;

}  // namespace ashlar::daemon
