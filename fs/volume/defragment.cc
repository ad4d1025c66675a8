#include "fs/volume/defragment.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "fs/volume/block_move.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/fragments.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

// Extents that one step looks at.
constexpr std::size_t kExtentsPerStep = 2048;

using Runs = std::span<const FileRun>;

std::uint64_t blocks_of(Runs runs) {
  return std::accumulate(runs.begin(), runs.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const FileRun& run) { return sum + run.blocks; });
}

// A place for the first `runs` of some runs.
struct FoundPlace {
  store::Allocation place;
  std::size_t runs = 0;       // 0: there is none that would make fewer of them
  std::uint64_t longest = 0;  // blocks of what there was
};

// How many of the runs to leave alone before two of them together fit into so many blocks.
std::size_t runs_to_skip(Runs runs, std::uint64_t blocks) {
  for (std::size_t i = 1; i + 1 < runs.size(); ++i) {
    if (blocks_of(runs.subspan(i, 2)) <= blocks) return i;
  }
  return runs.size();
}

// One step.
class Defragmentation {
 public:
  Defragmentation(VolumeState& volume, blockio::IoQueue& io, Inode& inode, const DefragmentRequest& request,
                  std::span<std::byte> buffer)
      : volume_(volume),
        io_(io),
        inode_(inode),
        request_(request),
        shortest_(volume.block_after(std::clamp<std::uint64_t>(request.shortest_run, 1, kLongestShortestRun))),
        buffer_(buffer) {}

  Result<DefragmentStep> run();

 private:
  [[nodiscard]] Result<FragmentPlan> plan();
  [[nodiscard]] Status move_range(const ShortRuns& range);
  [[nodiscard]] Status move_runs(Runs runs, store::Allocation& place);
  // For two runs or more, together.
  [[nodiscard]] Result<FoundPlace> find_place(Runs runs, BlockNumber goal);
  // For one, directly behind what lies before it or directly before what lies behind it.
  [[nodiscard]] Result<FoundPlace> find_place_beside(const FileRun& run, BlockNumber goal, BlockNumber follower);
  [[nodiscard]] Result<store::Allocation> allocate(BlockNumber goal, std::uint64_t minimum, std::uint64_t maximum);

  VolumeState& volume_;
  blockio::IoQueue& io_;
  Inode& inode_;
  const DefragmentRequest& request_;
  const std::uint64_t shortest_;  // blocks
  const std::span<std::byte> buffer_;
  // Asking for a long run that is not there makes a checkpoint, so that what was freed counts: once a step is enough.
  bool only_short_places_ = false;
  DefragmentStep step_;
};

Result<DefragmentStep> Defragmentation::run() {
  const FragmentPlan plan = TRY(this->plan());
  for (const ShortRuns& range : plan.ranges) {
    if (!request_.dry_run) {
      TRY(move_range(range));
    } else if (range.runs.size() > 1) {
      step_.bytes += blocks_of(range.runs) * volume_.block_size;
    }
  }
  step_.next = plan.next * volume_.block_size;
  step_.runs = plan.runs;
  step_.done = plan.done;
  return step_;
}

// What it finds may be otherwise by the time that it is moved: move_blocks() looks again.
Result<FragmentPlan> Defragmentation::plan() {
  const std::shared_lock lock(inode_.lock);
  if (may_be_inline(volume_, inode_.item)) return FragmentPlan{};
  const std::uint64_t from = volume_.block_of(request_.position);
  ExtentWindow window(volume_, inode_.number());
  TRY(window.load(io_, from, kEndOfFileBlocks, kExtentsPerStep));
  FragmentLimits limits{shortest_, std::numeric_limits<std::uint64_t>::max()};
  if (!request_.dry_run) limits.blocks = volume_.block_after(std::min(request_.budget, kMaxDefragmentBudget));
  return plan_fragments(window.extents(), window.truncated(), from, limits);
}

Status Defragmentation::move_range(const ShortRuns& range) {
  Runs left(range.runs);
  BlockNumber goal = range.goal;
  while (!left.empty()) {
    FoundPlace target =
        TRY(left.size() > 1 ? find_place(left, goal) : find_place_beside(left.front(), goal, range.follower));
    std::size_t handled = target.runs;
    if (handled != 0) {
      goal = target.place.run().end();
      TRY(move_runs(left.first(handled), target.place));
    } else {
      handled = left.size() > 1 ? runs_to_skip(left, target.longest) : 1;
      goal = left[handled - 1].physical_end;
    }
    left = left.subspan(handled);
  }
  return {};
}

Result<store::Allocation> Defragmentation::allocate(BlockNumber goal, std::uint64_t minimum, std::uint64_t maximum) {
  store::AllocationRequest request;
  request.goal = goal;
  request.minimum = minimum;
  request.maximum = maximum;
  request.leave_room = false;
  return volume_.store->allocate(io_, request);
}

Result<FoundPlace> Defragmentation::find_place(Runs runs, BlockNumber goal) {
  const std::uint64_t wanted = blocks_of(runs);
  const std::uint64_t least = blocks_of(runs.first(2));
  const std::uint64_t good = std::max(least, std::min(wanted, shortest_));
  store::Allocation place;
  if (!only_short_places_) {
    Result<store::Allocation> found = allocate(goal, good, wanted);
    if (!found && found.error().code() != ErrorCode::no_space) return fail(std::move(found).error());
    only_short_places_ = !found;
    if (found) place = *std::move(found);
  }
  if (place.run().count == 0) place = TRY(allocate(goal, 1, wanted));
  FoundPlace target;
  std::uint64_t used = 0;
  while (target.runs < runs.size() && used + runs[target.runs].blocks <= place.run().count) {
    used += runs[target.runs++].blocks;
  }
  target.longest = place.run().count;
  if (target.runs < 2) target.runs = 0;
  if (target.runs != 0) target.place = place.take_first(used);
  return target;
}

Result<FoundPlace> Defragmentation::find_place_beside(const FileRun& run, BlockNumber goal, BlockNumber follower) {
  const BlockNumber before = follower.value() > run.blocks ? follower - run.blocks : BlockNumber{0};
  for (const BlockNumber wanted : {goal, before}) {
    if (wanted == BlockNumber{0}) continue;
    store::Allocation place = TRY(allocate(wanted, 1, run.blocks));
    if (place.run() == BlockRun{wanted, run.blocks}) return FoundPlace{std::move(place), 1};
  }
  return FoundPlace{};
}

Status Defragmentation::move_runs(Runs runs, store::Allocation& place) {
  const std::uint64_t end = runs.back().end;
  std::uint64_t block = runs.front().first;
  while (block < end && place.run().count != 0) {
    const std::uint64_t before = place.run().count;
    block = TRY(move_blocks(volume_, io_, inode_, block, end, place, buffer_));
    step_.bytes += (before - place.run().count) * volume_.block_size;
  }
  return {};
}

}  // namespace

Result<DefragmentStep> Volume::defragment(Context& context, const DefragmentRequest& request,
                                          std::span<std::byte> buffer) {
  VolumeState& volume = *state_;
  if (buffer.size() < volume.block_size) return fail(ErrorCode::invalid_argument, "defragmentation buffer too small");
  if (!request.dry_run) TRY(check_writable(volume));
  const InodeRef inode = TRY(acquire_regular(volume, context.io, request.inode));
  return with_space_retry(volume, context.io,
                          [&] { return Defragmentation(volume, context.io, *inode, request, buffer).run(); });
}

}  // namespace ashlar::volume
