// ashlarctl scrub MNT [--rate MIB] [--json]
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "fs/base/standard_streams.h"
#include "fs/base/terminal_progress.h"
#include "fs/ctl/cancel_on_signal.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/exit_status.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/ctl/name_search.h"
#include "fs/ctl/scrub_report.h"
#include "fs/ctl/volume_root.h"
#include "fs/format/text.h"
#include "fs/fuse/scrub_protocol.h"

namespace ashlar::ctl {
namespace {

// As fsck(8) has them.
constexpr int kHealedStatus = 1;
constexpr int kDamageStatus = 4;
constexpr int kFailedStatus = 8;

constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::uint64_t kStepBytes = 2 * kMiB;
constexpr std::uint64_t kStepsPerSecond = 10;  // at least, so that a slow scrub does not come in bursts
constexpr std::uint64_t kLeastStep = 64U << 10;

// Keeps the bytes so far below what the rate allows.
class Pace {
 public:
  explicit Pace(std::uint64_t rate) : bytes_per_second_(rate * kMiB) {}

  void wait(std::uint64_t bytes) const {
    if (bytes_per_second_ == 0) return;
    const std::chrono::duration<double> due(static_cast<double>(bytes) / static_cast<double>(bytes_per_second_));
    std::this_thread::sleep_until(begin_ + std::chrono::duration_cast<std::chrono::nanoseconds>(due));
  }
  [[nodiscard]] std::uint64_t step() const {
    if (bytes_per_second_ == 0) return kStepBytes;
    return std::clamp(bytes_per_second_ / kStepsPerSecond, kLeastStep, kStepBytes);
  }

 private:
  std::uint64_t bytes_per_second_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

constexpr RefusalWords kScrubRefusals{"scrub", "only root and who mounted it may scrub",
                                      "its daemon is older and cannot scrub"};

Status check_all(const VolumeRoot& root, const ScrubOptions& options, ScrubReport& report) {
  const Pace pace(options.rate);
  TerminalProgress progress("scrub");
  const auto exchange = std::make_unique<fuse::ScrubExchange>();
  exchange->version = fuse::kScrubVersion;
  exchange->budget = pace.step();
  while (exchange->phase != fuse::ScrubPhase::done) {
    if (cancelled()) {
      report.cancelled = true;
      return {};
    }
    if (const int error = root.ask(fuse::kScrubCommand, exchange.get()); error != 0) {
      if (error == EINTR) continue;
      return root.refused(error);
    }
    report.add(*exchange);
    const std::uint64_t done = report.metadata_bytes + report.data_bytes;
    progress.show(done, exchange->total_bytes);
    if (exchange->phase != fuse::ScrubPhase::done) pace.wait(done);
  }
  return {};
}

// The files that damage is left in.
void find_damaged_files(const std::string& mount_point, ScrubReport& report) {
  std::vector<InodeRange> ranges;
  for (const fuse::ScrubFinding& finding : report.findings) {
    if (finding.what == fuse::ScrubWhat::data) ranges.push_back({finding.where, finding.where});
    const bool lost_node = finding.what == fuse::ScrubWhat::node && (finding.flags & fuse::kScrubLost) != 0;
    if (lost_node) ranges.push_back({finding.first, finding.last});
  }
  if (ranges.empty()) return;
  find_names(mount_point, std::move(ranges), [&report](const std::string& path, std::uint64_t inode) {
    report.names.push_back({path, inode});
    return report.names.size() < kMaxNames && !cancelled();
  });
}

void print_report(const std::string& mount_point, const ScrubReport& report) {
  for (const fuse::ScrubFinding& finding : report.findings) print("{}\n", finding_text(finding));
  for (const ScrubReport::Name& name : report.names) {
    print("damaged: {} (inode {})\n", format::printable(name.path), name.inode);
  }
  print("{}: {}\n", mount_point, summary_text(report));
}

int status_of(const ScrubReport& report) {
  const int damage = report.damage_remains() ? kDamageStatus : report.found_damage() ? kHealedStatus : 0;
  return damage | (report.cancelled ? kStoppedEarly : 0);
}

}  // namespace

Status scrub(const ScrubOptions& options, int& exit_status) {
  exit_status = kFailedStatus;
  const std::string mount_point = TRY(find_mount_point(options.target));
  const VolumeRoot root = TRY(VolumeRoot::open(mount_point, kScrubRefusals));
  const CancelOnSignal cancel;
  ScrubReport report;
  Status checked = check_all(root, options, report);
  if (!checked && report.findings.empty()) return checked;
  if (!report.cancelled) find_damaged_files(mount_point, report);
  report.cancelled = cancelled();
  if (options.json) {
    print("{}\n", report_json(report));
  } else {
    print_report(mount_point, report);
  }
  if (checked) exit_status = status_of(report) | (output_arrived() ? 0 : kFailedStatus);
  return checked;
}

}  // namespace ashlar::ctl
