#include "blockio/helper_threads.h"

#include <system_error>
#include <utility>

namespace ashlar::blockio {

HelperThreads::~HelperThreads() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

// Those that are there do where another cannot be had.
void HelperThreads::start_one() {
  try {
    threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch)
  } catch (const std::bad_alloc&) {     // NOLINT(bugprone-empty-catch)
  }
}

void HelperThreads::submit(HelperJob& job) {
  job.next_job = nullptr;
  {
    std::unique_lock lock(mutex_);
    if (waiting_ >= idle_ && threads_.size() < most_) start_one();
    if (threads_.empty()) {
      lock.unlock();
      job.run(job);
      return;
    }
    if (last_ != nullptr) {
      last_->next_job = &job;
    } else {
      first_ = &job;
    }
    last_ = &job;
    ++waiting_;
  }
  changed_.notify_one();
}

bool HelperThreads::withdraw(HelperJob& job) {
  const std::scoped_lock lock(mutex_);
  HelperJob* before = nullptr;
  for (HelperJob* at = first_; at != nullptr; before = std::exchange(at, at->next_job)) {
    if (at != &job) continue;
    (before == nullptr ? first_ : before->next_job) = job.next_job;
    if (last_ == &job) last_ = before;
    --waiting_;
    return true;
  }
  return false;
}

void HelperThreads::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return ending_ || first_ != nullptr; });
    --idle_;
    if (first_ == nullptr) return;
    HelperJob& job = *first_;
    first_ = job.next_job;
    if (first_ == nullptr) last_ = nullptr;
    --waiting_;
    lock.unlock();
    job.run(job);
    lock.lock();
  }
}

}  // namespace ashlar::blockio
