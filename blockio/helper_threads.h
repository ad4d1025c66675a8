// A few threads for what a queue must not wait for: CPU-bound work, and system calls that an engine has no asynchronous
// form of.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace ashlar::blockio {

// Kept by its submitter until it ran.
struct HelperJob {
  void (*run)(HelperJob&) noexcept = nullptr;  // the last thing that touches the job
  HelperJob* next_job = nullptr;
};

// Thread-safe. Threads start with the first job and stay. The jobs waiting are bounded by the slots of the queues that
// hand them over.
class HelperThreads {
 public:
  static constexpr std::size_t kMostThreads = 4;

  explicit HelperThreads(std::size_t threads = 2) noexcept : most_(threads < kMostThreads ? threads : kMostThreads) {}
  // Runs what waits, then ends.
  ~HelperThreads();
  HelperThreads(const HelperThreads&) = delete;
  HelperThreads& operator=(const HelperThreads&) = delete;

  // Jobs start in the order they came. Where not a single thread can be had it runs here and now.
  void submit(HelperJob& job);

  // Takes back a job that was submitted here: true when it had not begun, and never will.
  [[nodiscard]] bool withdraw(HelperJob& job);

 private:
  void start_one();  // with mutex_ held
  void work();

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  HelperJob* first_ = nullptr;  // all below: guarded by mutex_
  HelperJob* last_ = nullptr;
  std::size_t waiting_ = 0;
  std::size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ashlar::blockio
