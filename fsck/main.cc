// fsck.ashlarfs: checks a volume.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "blockio/file_device.h"
#include "fs/base/log.h"
#include "fsck/check.h"
#include "fsck/command_line.h"
#include "fsck/print_report.h"
#include "fsck/repair.h"

namespace {

using namespace ashlar;
using namespace ashlar::fsck;

// A daemon that is just finishing its unmount gives up the device within this time.
constexpr std::uint32_t kLockWaitMs = 10000;

// Set by the signal handler, which can do no more.
std::atomic<bool> cancel_requested{false};

bool show_progress(const CommandLine& line, double part) {
  const int percent = static_cast<int>(part * 100);
  if (line.progress_descriptor > 0) {
    dprintf(line.progress_descriptor, "%d 100 %s\n", percent, line.device.c_str());
  } else if (line.progress_descriptor == 0 && isatty(STDERR_FILENO) != 0) {
    fmt::print(stderr, "\r{}: {:3} %{}", line.device, percent, percent == 100 ? "\r\033[K" : "");
  }
  return !cancel_requested.load(std::memory_order_relaxed);
}

int fail_with(const CommandLine& line, const Error& error) {
  const std::string message = error.message();
  fmt::print(stderr, "fsck.ashlarfs: {}{}\n", message.starts_with(line.device) ? "" : line.device + ": ", message);
  return error.code() == ErrorCode::cancelled ? kCancelled : kOperationalError;
}

// Without an answer, and without anyone to ask, it is no.
bool ask(const CommandLine& line, const char* question) {
  if (line.json || isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) return false;
  fmt::print("{}: {} (y/n) ", line.device, question);
  static_cast<void>(fflush(stdout));
  const int answer = getchar();
  for (int rest = answer; rest != '\n' && rest != EOF;) rest = getchar();
  return answer == 'y' || answer == 'Y';
}

// Whether to rebuild what the check found. What can be counted anew is safe; the rest gives something up.
bool wants_rebuild(const CommandLine& line, const Report& report) {
  const bool loses = report.takes(Repair::rebuild);
  if (!loses && !report.takes(Repair::recount)) return false;
  switch (line.mode) {
    case Mode::never: return false;
    case Mode::safe: return !loses;
    case Mode::all: return true;
    case Mode::ask:
      fmt::print("{}", to_text(report, line));
      return ask(line,
                 loses ? "repair all of this? What is damaged beyond repair is given up." : "repair all of this?");
  }
  return false;
}

Result<Report> check_and_repair(const CommandLine& line, blockio::BlockDevice& device, blockio::IoQueue& io) {
  CheckOptions options;
  options.heal = line.mode == Mode::safe || line.mode == Mode::all;
  options.data = line.data;
  options.search = line.search;
  options.progress = [&line](double part) { return show_progress(line, part); };
  Report report = TRY(check_volume(device, io, options));
  if (line.mode == Mode::ask && !report.is_clean() && !report.takes(Repair::recount) &&
      !report.takes(Repair::rebuild) && report.takes(Repair::copy) &&
      ask(line, "write the bad copies anew from the good ones?")) {
    options.heal = true;
    report = TRY(check_volume(device, io, options));
  }
  if (wants_rebuild(line, report)) TRY(repair_volume(device, io, options, report));
  const bool may_write = line.mode == Mode::safe || line.mode == Mode::all;
  if (may_write && report.is_repaired()) TRY(clear_error_mark(device, io));
  return report;
}

Result<int> check(const CommandLine& line) {
  blockio::DeviceOptions device_options;
  device_options.read_only = line.mode == Mode::never || (line.mode == Mode::ask && isatty(STDIN_FILENO) == 0);
  device_options.lock_wait_ms = kLockWaitMs;
  const std::unique_ptr<blockio::FileDevice> device = TRY(blockio::open_device(line.device, device_options));
  const std::unique_ptr<blockio::IoQueue> io = TRY(device->open_queue({}));
  if (!line.force) {
    const Result<bool> clean = is_marked_clean(*device, *io);
    if (clean && *clean) {
      if (!line.json) fmt::print("{}: clean\n", line.device);
      return kClean;
    }
  }
  const Report report = TRY(check_and_repair(line, *device, *io));
  fmt::print("{}", line.json ? to_json(report, line.device) : to_text(report, line));
  return exit_status_of(report);
}

}  // namespace

int main(int count, char** arguments) {
  const CommandLine line = parse_command_line(count, arguments);
  if (!line.run) {
    fmt::print(line.exit_status == kClean ? stdout : stderr, "{}", line.text);
    return line.exit_status;
  }
  configure_log("fsck.ashlarfs", LogLevel::warning, LogSink::standard_error);
  signal(SIGINT, [](int) { cancel_requested.store(true); });
  const Result<int> outcome = check(line);
  return outcome ? *outcome : fail_with(line, outcome.error());
}
