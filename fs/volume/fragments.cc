#include "fs/volume/fragments.h"

#include <algorithm>
#include <utility>

namespace ashlar::volume {
namespace {

struct FoundRuns {
  std::vector<FileRun> runs;
  BlockNumber before;          // where the blocks before the first run end; 0: there are none
  bool first_goes_on = false;  // the first run is the rest of one that began before
};

FoundRuns find_runs(std::span<const MappedExtent> extents, std::uint64_t from) {
  FoundRuns found;
  bool any_before = false;
  std::uint64_t file_end = 0;
  BlockNumber physical_end;
  for (const MappedExtent& extent : extents) {
    const std::uint64_t first = std::clamp(from, extent.file_block, extent.end());
    if (first > extent.file_block) {
      any_before = true;
      file_end = first;
      physical_end = extent.physical_of(first);
    }
    if (first == extent.end()) continue;
    const BlockNumber physical = extent.physical_of(first);
    const bool goes_on =
        any_before && first >= file_end && (physical == physical_end || physical == physical_end + (first - file_end));
    const std::uint64_t blocks = extent.end() - first;
    if (found.runs.empty()) {
      found.before = physical_end;
      found.first_goes_on = goes_on;
    }
    if (goes_on && !found.runs.empty()) {
      FileRun& run = found.runs.back();
      run.end = extent.end();
      run.blocks += blocks;
      run.physical_end = physical + blocks;
    } else {
      found.runs.push_back({first, extent.end(), blocks, physical, physical + blocks});
    }
    any_before = true;
    file_end = extent.end();
    physical_end = physical + blocks;
  }
  return found;
}

// Collects what is worth moving.
class Collector {
 public:
  Collector(FragmentPlan& plan, BlockNumber before) : plan_(plan), current_{before, {}, {}} {}

  void add_short(const FileRun& run) {
    blocks_ += run.blocks;
    current_.runs.push_back(run);
  }
  void add_long(const FileRun& run) {
    close(run.physical);
    current_.goal = run.physical_end;
  }
  void close(BlockNumber follower) {
    const bool may_join = current_.goal != BlockNumber{0} || follower != BlockNumber{0};
    current_.follower = follower;
    if (current_.runs.size() > 1 || (current_.runs.size() == 1 && may_join)) {
      plan_.ranges.push_back(std::move(current_));
    }
    current_ = {};
  }
  [[nodiscard]] bool has(std::uint64_t blocks) const noexcept { return blocks_ >= blocks && current_.runs.size() > 1; }

 private:
  FragmentPlan& plan_;
  ShortRuns current_;
  std::uint64_t blocks_ = 0;
};

}  // namespace

FragmentPlan plan_fragments(std::span<const MappedExtent> extents, bool truncated, std::uint64_t from,
                            const FragmentLimits& limits) {
  FragmentPlan plan;
  plan.next = from;
  FoundRuns found = find_runs(extents, from);
  if (found.runs.empty()) return plan;
  plan.done = !truncated;
  plan.next = found.runs.back().end;
  BlockNumber follower;
  // How long the last one is remains to be seen.
  if (truncated && found.runs.size() > 1) {
    plan.next = found.runs.back().first;
    follower = found.runs.back().physical;
    found.runs.pop_back();
  }
  Collector collector(plan, found.before);
  for (const FileRun& run : found.runs) {
    const bool rest = found.first_goes_on && &run == found.runs.data();
    if (!rest) ++plan.runs;
    if (rest || run.blocks >= limits.shortest) {
      collector.add_long(run);
      continue;
    }
    collector.add_short(run);
    const bool last = &run == &found.runs.back();
    if (!last && collector.has(limits.blocks)) {
      plan.next = run.end;
      plan.done = false;
      follower = BlockNumber{0};
      break;
    }
  }
  collector.close(follower);
  return plan;
}

}  // namespace ashlar::volume
