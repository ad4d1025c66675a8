#include "fs/ctl/terminal_progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "fs/base/standard_streams.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

constexpr std::chrono::milliseconds kInterval{200};

}  // namespace

TerminalProgress::TerminalProgress(std::string_view what) : what_(what), on_terminal_(isatty(STDERR_FILENO) != 0) {}

TerminalProgress::~TerminalProgress() { clear(); }

void TerminalProgress::show(std::uint64_t done, std::uint64_t total) {
  const Clock::time_point now = Clock::now();
  if (!on_terminal_ || now - last_ < kInterval) return;
  last_ = now;
  shown_ = true;
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  const double rate = static_cast<double>(done) / std::max(seconds, 1e-3);
  const std::uint64_t left = total > done ? total - done : 0;
  const double part = total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  print(stderr, "\r\033[K{}: {:.1f} %, {} at {}/s, {:.0f} s left", what_, part * 100, format::size_text(done),
        format::size_text(static_cast<std::uint64_t>(rate)), rate > 0 ? static_cast<double>(left) / rate : 0.0);
  std::fflush(stderr);
}

void TerminalProgress::clear() {
  if (!shown_) return;
  print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace ashlar::ctl
