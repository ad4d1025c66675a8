#include "fs/base/terminal_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "fs/base/size_text.h"
#include "fs/base/standard_streams.h"

namespace ashlar {
namespace {

constexpr std::chrono::milliseconds kInterval{200};
// Back to the beginning of a line, and nothing in it. One that the terminal has broken would stay but for its end, so
// it cuts off what is too long (DECAWM off, and on again).
constexpr std::string_view kEmptyLine = "\r\033[K";
constexpr std::string_view kCutOff = "\033[?7l";
constexpr std::string_view kBreak = "\033[?7h";
// Before that nobody can tell how long the rest takes.
constexpr double kLeastPart = 0.001;
constexpr double kMostSeconds = 99.0 * 3600;

// "0:07", "1:02:03".
std::string clock_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

std::string progress_text(std::string_view what, const Progress& progress, double seconds) {
  const double part = std::clamp(progress.part, 0.0, 1.0);
  std::string text = fmt::format("{}: {:.1f} %", what, part * 100);
  if (progress.bytes != 0) {
    text += fmt::format(", {}", size_text(progress.bytes));
    if (progress.total != 0) text += fmt::format(" of {}", size_text(std::max(progress.total, progress.bytes)));
    if (seconds > 0)
      text +=
          fmt::format(" at {}/s", size_text(static_cast<std::uint64_t>(static_cast<double>(progress.bytes) / seconds)));
  }
  if (part >= kLeastPart && seconds > 0) {
    const double left = seconds * (1 - part) / part;
    if (left < kMostSeconds) text += fmt::format(", {} left", clock_text(left));
  }
  return text;
}

TerminalProgress::TerminalProgress(std::string what)
    : what_(std::move(what)), on_terminal_(isatty(STDERR_FILENO) != 0) {}

TerminalProgress::~TerminalProgress() { clear(); }

void TerminalProgress::begin(std::string what) {
  what_ = std::move(what);
  begin_ = last_ = Clock::now();  // nobody can tell the rate of a moment
}

void TerminalProgress::show(const Progress& progress) {
  const Clock::time_point now = Clock::now();
  if (!on_terminal_ || now - last_ < kInterval) return;
  last_ = now;
  shown_ = true;
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  print(stderr, "{}{}{}{}", kEmptyLine, kCutOff, progress_text(what_, progress, seconds), kBreak);
  std::fflush(stderr);
}

void TerminalProgress::show(std::uint64_t done, std::uint64_t total) {
  show(Progress{total == 0 ? 0.0 : static_cast<double>(done) / static_cast<double>(total), done, total});
}

void TerminalProgress::clear() {
  if (!shown_) return;
  print(stderr, "{}", kEmptyLine);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace ashlar
