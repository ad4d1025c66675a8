#include "fs/ctl/cancel_on_signal.h"

#include <cstddef>

namespace ashlar::ctl {
namespace {

volatile std::sig_atomic_t was_cancelled = 0;

}  // namespace

CancelOnSignal::CancelOnSignal() {
  struct sigaction action {};
  action.sa_handler = [](int) { was_cancelled = 1; };
  for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &before_[i]);
}

CancelOnSignal::~CancelOnSignal() {
  for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

bool cancelled() noexcept { return was_cancelled != 0; }

}  // namespace ashlar::ctl
