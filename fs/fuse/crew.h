// Who serves while others wait for the kernel.
#pragma once

#include <atomic>

namespace ashlar::fuse {

// The workers behind one of the kernel's queues of requests: that of /dev/fuse, or a ring's. One that waits for the
// kernel to write what it holds waits for requests that others must serve, so one of each crew never does. Thread-safe.
class Crew {
 public:
  explicit Crew(unsigned workers) noexcept : most_away_(workers > 0 ? workers - 1 : 0) {}

  enum class Need : bool { wish, must };  // who merely wishes leaves a place to those who must, if there are two

  // A worker's wait.
  class Absence {
   public:
    Absence(Crew& crew, Need need) noexcept : crew_(crew), granted_(crew.leave(need)) {}
    ~Absence() {
      if (granted_) crew_.away_.fetch_sub(1, std::memory_order_relaxed);
    }
    Absence(const Absence&) = delete;
    Absence& operator=(const Absence&) = delete;

    // False: too many wait already.
    explicit operator bool() const noexcept { return granted_; }

   private:
    Crew& crew_;
    const bool granted_;
  };

 private:
  [[nodiscard]] bool leave(Need need) noexcept {
    const unsigned most = need == Need::wish && most_away_ > 1 ? most_away_ - 1 : most_away_;
    unsigned away = away_.load(std::memory_order_relaxed);
    while (away < most) {
      if (away_.compare_exchange_weak(away, away + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  const unsigned most_away_;
  std::atomic<unsigned> away_{0};
};

}  // namespace ashlar::fuse
