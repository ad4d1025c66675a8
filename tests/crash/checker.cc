#include "tests/crash/checker.h"

#include <fmt/format.h>
#include <malloc.h>

#include <string_view>

#include "blockio/faulty_device.h"
#include "fsck/check.h"

namespace ashlar::crash_test {
namespace {

// Of the images, one in so many has more done with it than looking; all write boundaries have.
constexpr std::uint64_t kUsedShare = 16;
// Of the write boundaries of a recovery, those whose own recovery is interrupted too.
constexpr std::size_t kDeeperEvery = 4;
constexpr unsigned kMostDeeper = 3;
constexpr int kKeptMemory = 256 << 20;

// What fsck has against the volume. Before recovery, one of two copies may well be torn: that is what two are for.
std::string check_volume(blockio::BlockDevice& device, blockio::IoQueue& io, bool copies_may_be_bad) {
  const auto report = fsck::check_volume(device, io, {});
  if (!report) return report.error().message();
  for (const fsck::Finding& finding : report->findings()) {
    const fsck::Severity severity = fsck::kind_of(finding.id).severity;
    if (severity == fsck::Severity::note) continue;
    if (severity == fsck::Severity::healable && copies_may_be_bad) continue;
    return finding.text;
  }
  return {};
}

// The volume goes on from here: names, data and space can be had, where there is room, and given back.
Status use(volume::Volume& volume, volume::Context& context) {
  constexpr std::uint64_t kRoom = 128U << 10;
  const volume::VolumeSpace space = volume.space();
  const bool may_lack_space = space.available * space.block_size < kRoom;
  constexpr std::string_view kName = "after the crash";
  const std::string data(10'000, 'x');
  auto made = volume.make_node(context, kRootInode, kName, {S_IFREG | 0644, 0});
  if (!made && may_lack_space && made.error().code() == ErrorCode::no_space) return {};
  const InodeNumber file = TRY(std::move(made))
  .inode;
  Status written = volume.write(context, file, 0, std::as_bytes(std::span(data)), false);
  if (!written && !(may_lack_space && written.error().code() == ErrorCode::no_space)) return written;
  TRY(volume.sync_inode(context, file, false));
  volume.forget(context.io, file, 1);
  return volume.unlink(context, kRootInode, kName);
}

Tally& sum() {
  static Tally tally;
  return tally;
}

}  // namespace

std::string text_of(const Tally& tally) { return fmt::format("{} states, {} images", tally.states, tally.images); }

// What one mount gave back the next takes again: by way of the kernel that would be most of the time spent.
Checker::Checker() {
  mallopt(M_MMAP_THRESHOLD, kKeptMemory);
  mallopt(M_TRIM_THRESHOLD, kKeptMemory);
}

Checker::~Checker() {
  Tally& all = sum();
  all.states += tally_.states;
  all.images += tally_.images;
}

Tally Checker::total() { return sum(); }

Checker::Finding Checker::examine(const blockio::MemoryImage& image, Care care) {
  Finding finding;
  blockio::MemoryDevice device(image);
  const auto io = device.open_queue({});
  finding.problem = check_volume(device, **io, true);
  if (!finding.problem.empty()) {
    finding.problem = "fsck before the mount: " + finding.problem;
    return finding;
  }
  volume::Context context{**io, {2'000'000, 0}, 0, 0};
  auto volume = volume::Volume::open(device, **io, quiet_options());
  if (!volume) {
    finding.problem = "mount: " + volume.error().message();
    return finding;
  }
  finding.view = viewer_.look_at(**volume, context);
  finding.digest = digest(finding.view);
  if (care == Care::mounted) return finding;
  finding.problem = check_read_only(image, finding.view);
  if (!finding.problem.empty()) return finding;
  if (const Status used = use(**volume, context); !used) finding.problem = "using it: " + used.error().message();
  if (const Status closed = (*volume)->close(**io); !closed) finding.problem = "unmount: " + closed.error().message();
  if (!finding.problem.empty()) return finding;
  finding.problem = check_volume(device, **io, false);
  if (!finding.problem.empty()) finding.problem = "fsck after the unmount: " + finding.problem;
  return finding;
}

std::string Checker::check_read_only(const blockio::MemoryImage& image, const std::string& view) {
  blockio::MemoryDeviceOptions write_protected;
  write_protected.read_only = true;
  blockio::MemoryDevice memory(image, write_protected);
  blockio::FaultyDevice device(memory);
  bool wrote = false;
  device.set_plan([&wrote](const blockio::FaultQuestion& question) {
    wrote = wrote || question.op.kind != blockio::OpKind::read;
    return blockio::Fault::none;
  });
  const auto io = device.open_queue({});
  volume::Context context{**io, {2'000'000, 0}, 0, 0};
  volume::VolumeOptions options = quiet_options();
  options.store.read_only = true;
  const auto volume = volume::Volume::open(device, **io, options);
  if (!volume) return "read-only mount: " + volume.error().message();
  const std::string shown = viewer_.look_at(**volume, context);
  if (shown != view) return "a read-only mount shows something else:\n" + difference(view, shown);
  if (const Status closed = (*volume)->close(**io); !closed) return "read-only unmount: " + closed.error().message();
  return wrote ? "a read-only mount writes" : "";
}

std::optional<std::string> Checker::judge(const History& history, std::size_t first, std::size_t last,
                                          const Finding& finding) {
  if (!finding.problem.empty()) return finding.problem;
  for (std::size_t i = last + 1; i-- > first;) {
    if (history.moments[i].digest == finding.digest) return std::nullopt;
  }
  std::string text = fmt::format("not the state after any prefix from operation {} to {} of {}\n", first, last,
                                 history.moments.size() - 1);
  for (std::size_t i = 0; i < history.moments.size(); ++i) {
    if (history.moments[i].digest == finding.digest) {
      text += fmt::format("it is the state after operation {} ({})\n", i, history.moments[i].operation);
    }
  }
  for (const std::size_t i : {first, last}) {
    text += fmt::format("beside operation {} ({}):\n{}", i, history.moments[i].operation,
                        difference(history.moments[i].view, finding.view));
  }
  return text;
}

std::optional<std::string> Checker::check_state(const CrashState& state, const History& history) {
  ++tally_.states;
  const Finding& finding = known_.at(state.identity);
  const auto wrong = judge(history, history.promised(state.events), history.begun(state.events), finding);
  if (!wrong) return std::nullopt;
  return state.description + ": " + *wrong;
}

std::optional<std::string> Checker::check_run(const blockio::RecordingDevice& device, const History& history,
                                              std::uint64_t seed, std::size_t variants) {
  known_.clear();
  std::optional<std::string> wrong;
  CrashStates states(device, seed);
  states.enumerate(
      variants, [this](const CrashState& state) { return !known_.contains(state.identity); },
      [&](const CrashState& state) {
        if (state.image != nullptr) {
          ++tally_.images;
          distinct_.insert(state.identity);
          const bool use = state.boundary || tally_.images % kUsedShare == 0;
          Finding finding = examine(*state.image, use ? Care::used : Care::mounted);
          if (history.from_model) {
            finding.view = plain(finding.view);
            finding.digest = digest(finding.view);
          }
          known_.emplace(state.identity, std::move(finding));
        }
        wrong = check_state(state, history);
        return !wrong;
      });
  return wrong;
}

std::optional<std::string> Checker::check_recovery(const blockio::MemoryImage& image, std::uint64_t seed,
                                                   std::size_t variants, unsigned depth) {
  const Finding expected = examine(image, Care::mounted);
  if (!expected.problem.empty()) return expected.problem;
  blockio::RecordingDevice device(image);
  {
    const auto io = device.open_queue({});
    // And then the process dies.
    if (!volume::Volume::open(device, **io, quiet_options())) return "cannot be mounted";
  }
  std::optional<std::string> wrong;
  std::unordered_map<std::uint64_t, bool> seen;
  unsigned deeper = 0;
  CrashStates states(device, seed);
  states.enumerate(
      variants, [&](const CrashState& state) { return seen.emplace(state.identity, true).second; },
      [&](const CrashState& state) {
        ++tally_.states;
        if (state.image == nullptr) return true;
        ++tally_.images;
        const Finding finding = examine(*state.image, Care::used);
        if (!finding.problem.empty()) {
          wrong = finding.problem;
        } else if (finding.digest != expected.digest) {
          wrong = "the second recovery differs from the first:\n" + difference(expected.view, finding.view);
        } else if (depth > 0 && state.boundary && state.events % kDeeperEvery == 1 && deeper++ < kMostDeeper) {
          wrong = check_recovery(*state.image, seed + 1, variants, depth - 1);
        }
        if (wrong) wrong = "recovery, " + state.description + ": " + *wrong;
        return !wrong;
      });
  return wrong;
}

}  // namespace ashlar::crash_test
