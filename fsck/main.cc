// fsck.ashlarfs: checks a volume.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "blockio/file_device.h"
#include "blockio/mount_table.h"
#include "fs/base/log.h"
#include "fs/base/standard_streams.h"
#include "fs/base/terminal_progress.h"
#include "fsck/check.h"
#include "fsck/command_line.h"
#include "fsck/dialogue.h"
#include "fsck/print_report.h"
#include "fsck/repair.h"

namespace {

using namespace ashlar;
using namespace ashlar::fsck;

// Set by the signal handler, which can do no more.
std::atomic<bool> cancel_requested{false};

// By number, as in the manual page.
constexpr std::array kPassNames = {"", "superblocks and log", "tree", "names", "bitmaps", "repair"};

constexpr double kLeastPart = 0.001;

class ProgressDisplay {
 public:
  ProgressDisplay(const CommandLine& line, const blockio::IoQueue& io)
      : line_(line), io_(io), line_on_terminal_(std::string()) {}

  bool show(Pass pass, double part) {
    if (pass != pass_) begin(pass);
    if (line_.progress_descriptor > 0) {
      tell_descriptor(pass, part);
    } else {
      const std::uint64_t bytes = bytes_read() - bytes_before_;
      // What a pass will come to is known by how far it is, once that is a little.
      const double total = part >= kLeastPart ? static_cast<double>(bytes) / part : 0;
      line_on_terminal_.show({part, bytes, static_cast<std::uint64_t>(total)});
    }
    return !cancel_requested.load(std::memory_order_relaxed);
  }
  // Before something else is printed.
  void clear() { line_on_terminal_.clear(); }

 private:
  [[nodiscard]] std::uint64_t bytes_read() const { return io_.statistics().of(blockio::OpKind::read).bytes.get(); }

  void begin(Pass pass) {
    pass_ = pass;
    bytes_before_ = bytes_read();
    const auto number = static_cast<std::size_t>(pass);
    line_on_terminal_.clear();
    if (line_.verbose && !line_.json) {
      print("{}: pass {}: {}\n", line_.device, number, kPassNames[number]);
      static_cast<void>(std::fflush(stdout));
    }
    line_on_terminal_.begin(fmt::format("{}: {}", line_.device, kPassNames[number]));
  }

  // As e2fsck(8) does: systemd-fsck and others read that.
  void tell_descriptor(Pass pass, double part) {
    const int percent = std::clamp(static_cast<int>(part * 100), 0, 100);
    if (told_ == std::pair(pass, percent)) return;
    told_ = std::pair(pass, percent);
    dprintf(line_.progress_descriptor, "%zu %d 100 %s\n", static_cast<std::size_t>(pass), percent,
            line_.device.c_str());
  }

  const CommandLine& line_;
  const blockio::IoQueue& io_;
  TerminalProgress line_on_terminal_;
  std::optional<Pass> pass_;
  std::uint64_t bytes_before_ = 0;            // read before the pass
  std::optional<std::pair<Pass, int>> told_;  // the descriptor
};

int fail_with(const CommandLine& line, const Error& error) {
  const std::string message = error.message();
  print(stderr, "fsck.ashlarfs: {}{}\n", message.starts_with(line.device) ? "" : line.device + ": ", message);
  return error.code() == ErrorCode::cancelled ? kCancelled : kOperationalError;
}

// Leaves the report as it is when there is no room for a repair.
Status repair(const CommandLine& line, blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options,
              Report& report, ProgressDisplay& display) {
  Status repaired = repair_volume(device, io, options, report);
  display.clear();
  if (repaired || repaired.error().code() != ErrorCode::no_space) return repaired;
  print(stderr, "fsck.ashlarfs: {}: not repaired: {}\n", line.device, repaired.error().message());
  return {};
}

Result<Report> check_and_repair(const CommandLine& line, blockio::BlockDevice& device, blockio::IoQueue& io) {
  ProgressDisplay display(line, io);
  CheckOptions options;
  options.heal = line.mode == Mode::safe || line.mode == Mode::all;
  options.data = line.data;
  options.search = line.search;
  options.progress = [&display](Pass pass, double part) { return display.show(pass, part); };
  Report report = TRY(check_volume(device, io, options));
  display.clear();
  Wishes wishes = wishes_about(line, report, cancel_requested);
  if (cancel_requested) return fail(ErrorCode::cancelled, "cancelled");
  if (wishes.heal) {
    options.heal = true;
    options.leave = std::move(wishes.leave);
    report = TRY(check_volume(device, io, options));
  }
  if (wishes.rebuild) TRY(repair(line, device, io, options, report, display));
  display.clear();
  const bool was_changed = wishes.heal || wishes.rebuild;
  if (report.is_repaired() && report.has_error_mark && (was_changed || wants_mark_cleared(line, cancel_requested)))
    TRY(clear_error_mark(device, io));
  if (line.json) {
    print("{}", to_json(report, line.device));
  } else {  // what was shown already, and is still so, is not shown again
    const bool was_shown = is_interactive(line) && !was_changed;
    print("{}", was_shown ? summary_to_text(report, line) : to_text(report, line));
  }
  return report;
}

Result<std::unique_ptr<blockio::FileDevice>> open(const std::string& path, blockio::DeviceOptions options) {
  const std::string mounted_at = blockio::mount_point_of(path);
  options.lock_wait_ms = blockio::lock_wait_ms(!mounted_at.empty());
  auto device = blockio::open_device(path, options);
  if (device || device.error().code() != ErrorCode::busy || mounted_at.empty()) return device;
  return fail(ErrorCode::busy, fmt::format("{}: is mounted at {}: unmount it first", path, mounted_at));
}

Result<int> check(const CommandLine& line) {
  blockio::DeviceOptions device_options;
  device_options.read_only = line.mode == Mode::never || (line.mode == Mode::ask && isatty(STDIN_FILENO) == 0);
  const std::unique_ptr<blockio::FileDevice> device = TRY(open(line.device, device_options));
  const std::unique_ptr<blockio::IoQueue> io = TRY(device->open_queue({}));
  if (!line.force) {
    const Result<bool> clean = is_marked_clean(*device, *io);
    if (clean && *clean) {
      print("{}", line.json ? skipped_to_json(line.device) : skipped_to_text(line));
      return kClean;
    }
  }
  std::unique_ptr<claim::VolumeClaim> claim;
  if (!device_options.read_only) claim = TRY(claim_volume(*device, *io, {}));
  if (claim) {
    TRY(claim->keep(*device, [&line](const std::string& why) {
      print(stderr, "fsck.ashlarfs: {}: {}\n", line.device, why);
      cancel_requested.store(true);
    }));
  }
  Result<Report> report = check_and_repair(line, *device, *io);
  if (claim) TRY(claim->release(*io));
  return exit_status_of(TRY(std::move(report)));
}

// Without SA_RESTART, so that a question waits no longer.
void end_on_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { cancel_requested.store(true); };
  sigaction(SIGINT, &action, nullptr);
}

int run(const CommandLine& line) {
  if (!line.run) {
    print(line.exit_status == kClean ? stdout : stderr, "{}", line.text);
    return line.exit_status;
  }
  configure_log("fsck.ashlarfs", LogLevel::warning, LogSink::standard_error);
  end_on_interrupt();
  signal(SIGPIPE, SIG_IGN);  // a reader that went away must not end a repair
  const Result<int> outcome = check(line);
  return outcome ? *outcome : fail_with(line, outcome.error());
}

}  // namespace

int main(int count, char** arguments) {
  if (!occupy_standard_streams()) return kOperationalError;
  return finish_output("fsck.ashlarfs", run(parse_command_line(count, arguments)), kOperationalError);
}
