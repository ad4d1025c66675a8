#include "fs/daemon/wakeup_latency.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "fs/base/log.h"
#include "fs/base/thread.h"

namespace ashlar::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kActiveInterval{10};
constexpr milliseconds kIdleInterval{200};
constexpr seconds kIdleAfter{1};

constexpr std::int32_t kStayAwake = 0;
constexpr std::int32_t kNoLimit = 2'000'000'000;  // PM_QOS_CPU_LATENCY_DEFAULT_VALUE, which no header for programs has

}  // namespace

bool BusyDetector::sample(std::uint64_t sleeps, nanoseconds elapsed) noexcept {
  constexpr std::uint64_t kSecond = nanoseconds(seconds(1)).count();
  const auto span = static_cast<std::uint64_t>(elapsed.count());
  if (sleeps * kSecond >= kBusyRate * span) busy_ = true;
  if (sleeps * kSecond > kQuietRate * span) {
    quiet_for_ = nanoseconds(0);
  } else {
    quiet_for_ += elapsed;
    if (quiet_for_ >= kBusyFor) busy_ = false;
  }
  return busy_;
}

milliseconds BusyDetector::interval() const noexcept {
  return quiet_for_ < kIdleAfter ? kActiveInterval : kIdleInterval;
}

Result<std::unique_ptr<WakeupLatency>> WakeupLatency::start(const std::string& control,
                                                            std::function<std::uint64_t()> sleeps) {
  const int fd = open(control.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return fail(from_errno(errno), fmt::format("{}: {}", control, std::strerror(errno)));
  std::unique_ptr<WakeupLatency> started(new WakeupLatency(fd, std::move(sleeps)));
  started->thread_ = TRY(start_thread([raw = started.get()] { raw->run(); }));
  return started;
}

WakeupLatency::WakeupLatency(int control, std::function<std::uint64_t()> sleeps)
    : control_(control), sleeps_(std::move(sleeps)) {
  limit_to(kNoLimit);
}

WakeupLatency::~WakeupLatency() {
  {
    const std::lock_guard guard(mutex_);
    stop_ = true;
  }
  stopped_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void WakeupLatency::run() {
  BusyDetector detector;
  bool busy = false;
  std::uint64_t sleeps = sleeps_();
  steady_clock::time_point then = steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, detector.interval(), [this] { return stop_; })) {
    const std::uint64_t sleeps_now = sleeps_();
    const steady_clock::time_point now = steady_clock::now();
    const bool busy_now =
        detector.sample(sleeps_now - std::exchange(sleeps, sleeps_now), now - std::exchange(then, now));
    if (busy_now != std::exchange(busy, busy_now)) limit_to(busy ? kStayAwake : kNoLimit);
  }
  if (busy) limit_to(kNoLimit);
}

void WakeupLatency::limit_to(std::int32_t latency) const {
  if (pwrite(control_.get(), &latency, sizeof latency, 0) != static_cast<ssize_t>(sizeof latency)) {
    log(LogLevel::debug, "the time that processors may take to wake stays as it is: {}", std::strerror(errno));
  }
}

std::uint64_t sleeps_of_process() noexcept {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_nvcsw);
}

}  // namespace ashlar::daemon
