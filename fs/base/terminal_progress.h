// A line on a terminal that tells how far a long command is; nothing when standard error is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace ashlar {

struct Progress {
  double part = 0;          // done, 0 to 1
  std::uint64_t bytes = 0;  // done; 0: it is not about bytes
  std::uint64_t total = 0;  // 0: not known
};

// "scrub: 42.0 %, 1.26 GiB of 3 GiB at 512 MiB/s, 1:02 left": what is not known is left out.
[[nodiscard]] std::string progress_text(std::string_view what, const Progress& progress, double seconds);

class TerminalProgress {
 public:
  explicit TerminalProgress(std::string what);
  ~TerminalProgress();  // takes the line away
  TerminalProgress(const TerminalProgress&) = delete;
  TerminalProgress& operator=(const TerminalProgress&) = delete;

  // From now on it is about something else, the rate and the time as well.
  void begin(std::string what);
  void show(const Progress& progress);
  // Bytes done of about so many.
  void show(std::uint64_t done, std::uint64_t total);
  // Before something else is printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  bool on_terminal_;
  bool shown_ = false;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_ = begin_;
};

}  // namespace ashlar
