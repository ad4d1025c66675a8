// fsck.ashlarfs: checks a volume.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "blockio/file_device.h"
#include "fs/base/log.h"
#include "fsck/check.h"
#include "fsck/command_line.h"
#include "fsck/print_report.h"

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

Result<int> check(const CommandLine& line) {
  blockio::DeviceOptions device_options;
  device_options.read_only = !line.repair;
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
  CheckOptions options;
  options.heal = line.repair;
  options.data = line.data;
  options.progress = [&line](double part) { return show_progress(line, part); };
  const Report report = TRY(check_volume(*device, *io, options));
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
