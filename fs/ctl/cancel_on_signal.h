// Long commands that an interrupt ends in good order.
#pragma once

#include <csignal>
#include <iterator>

namespace ashlar::ctl {

// While it lives, SIGINT and SIGTERM only make cancelled() true. One at a time.
class CancelOnSignal {
 public:
  CancelOnSignal();
  ~CancelOnSignal();
  CancelOnSignal(const CancelOnSignal&) = delete;
  CancelOnSignal& operator=(const CancelOnSignal&) = delete;

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM};
  struct sigaction before_[std::size(kSignals)]{};
};

[[nodiscard]] bool cancelled() noexcept;

}  // namespace ashlar::ctl
