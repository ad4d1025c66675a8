// A line on a terminal that tells how far a long command is; nothing when standard error is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace ashlar::ctl {

class TerminalProgress {
 public:
  explicit TerminalProgress(std::string_view what);
  ~TerminalProgress();  // takes the line away
  TerminalProgress(const TerminalProgress&) = delete;
  TerminalProgress& operator=(const TerminalProgress&) = delete;

  // Bytes done of about so many.
  void show(std::uint64_t done, std::uint64_t total);
  // Before something else is printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string_view what_;
  bool on_terminal_;
  bool shown_ = false;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_ = begin_;
};

}  // namespace ashlar::ctl
