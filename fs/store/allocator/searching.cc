// Choosing which free blocks to hand out.
#include <absl/container/inlined_vector.h>
#include <algorithm>

#include "fs/base/log.h"
#include "fs/store/allocator/allocator_state.h"

namespace ashlar::store {
namespace {

// A request of this many blocks or more comes from a stream. When somebody else has taken the blocks where it would go
// on, it moves to where there is room for kStreamRoom more like it, and into the middle of that, so that both have room
// before them.
constexpr std::uint64_t kStreamBlocks = 64;
constexpr std::uint64_t kStreamRoom = 32;
// At the goal a run is good enough from this part of the maximum on.
constexpr std::uint64_t kGoodPartAtGoal = 4;
// Groups searched in vain for a run of a length before a shorter one will do.
constexpr std::uint32_t kMaxGroupsPerLength = 8;

constexpr std::size_t kUsualLengths = 16;  // of requests up to a few thousand blocks
using Lengths = absl::InlinedVector<std::uint64_t, kUsualLengths>;

// The lengths to try, longest first, down to the minimum. `crowded`: somebody else has the goal.
Lengths lengths_to_try(const AllocationRequest& request, std::uint64_t group_blocks, bool crowded) {
  Lengths lengths;
  const bool stream = request.purpose == Purpose::data && request.leave_room && request.maximum >= kStreamBlocks;
  if (crowded && stream) {
    std::uint64_t room = std::min(request.maximum * kStreamRoom, group_blocks / 2);
    for (; room > request.maximum; room /= 2) lengths.push_back(room);
  }
  std::uint64_t length = std::min(request.maximum, group_blocks);
  for (; length > request.minimum; length /= 2) lengths.push_back(length);
  lengths.push_back(request.minimum);
  return lengths;
}

}  // namespace

// Metadata begins in the middle of the volume, its second copies at three quarters, and begins there anew after every
// checkpoint: it stays together, in what the checkpoints before gave back. Where there are zones for it, in the latest.
void Allocator::State::rewind_metadata() {
  if (!metadata_zones.empty()) return metadata_cursors.fill(metadata_zones.back().first);
  metadata_cursors[0] = BlockNumber{layout().block_count() / 2};
  metadata_cursors[1] = BlockNumber{layout().block_count() / 4 * 3};
}

BlockNumber Allocator::State::search_start(const AllocationRequest& request) const {
  BlockNumber start = request.goal;
  if (start == BlockNumber{0}) {
    start = request.purpose == Purpose::data ? data_cursor : metadata_cursors[request.avoid_group == ~0U ? 0 : 1];
  }
  return start.value() < layout().block_count() ? start : BlockNumber{0};
}

BlockRun Allocator::State::take(std::uint32_t group_index, Bitmap::Run run, const AllocationRequest& request) {
  Group& group = groups[group_index];
  const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(run.count, request.maximum));
  group.bitmaps->busy.set(run.first, count);
  group.bitmaps->touched = true;
  group.free_now -= count;
  for (std::uint32_t& longest : group.longest) longest = std::min(longest, group.free_now);
  free_now -= count;
  const BlockRun taken{layout().group_first(group_index) + run.first, count};
  if (request.purpose == Purpose::metadata) {
    metadata_cursors[request.avoid_group == ~0U ? 0 : 1] = taken.end();
  } else if (request.goal == BlockNumber{0}) {
    data_cursor = taken.end();
  }
  return taken;
}

std::optional<BlockRun> Allocator::State::take_at_goal(std::uint32_t group, const AllocationRequest& request) {
  const auto first = static_cast<std::uint32_t>(request.goal - layout().group_first(group));
  const auto limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(request.maximum, layout().group_blocks()));
  const std::optional<Bitmap> closed = closed_to_data(group, request.purpose);
  const std::uint32_t length = (closed ? *closed : groups[group].bitmaps->busy).clear_length(first, limit);
  if (length < std::max(request.minimum, request.maximum / kGoodPartAtGoal)) return std::nullopt;
  return take(group, Bitmap::Run{first, length}, request);
}

// `closed`: a part of the group was, so that this holds for nobody else.
void Allocator::State::note_longest(Group& group, Purpose purpose, bool closed, std::uint32_t longest) {
  if (closed) {
    group.longest[static_cast<std::size_t>(purpose)] = longest;
  } else {
    for (std::uint32_t& known : group.longest) known = std::min(known, longest);
  }
}

// From a run of `wanted` blocks if the group has one, else from its longest if that is `acceptable`. Wanting more than
// the request's maximum is wanting the room: the blocks are taken from the middle of it.
std::optional<BlockRun> Allocator::State::take_in_group(std::uint32_t group_index, std::uint32_t from,
                                                        std::uint64_t wanted, std::uint64_t acceptable,
                                                        const AllocationRequest& request) {
  Group& group = groups[group_index];
  const std::optional<Bitmap> closed = closed_to_data(group_index, request.purpose);
  const Bitmap& busy = closed ? *closed : group.bitmaps->busy;
  const auto wanted_bits = static_cast<std::uint32_t>(wanted);
  Bitmap::Run run = busy.find_clear(from, wanted_bits);
  if (run.count < wanted && from != 0) run = busy.find_clear(0, wanted_bits);
  if (run.count < wanted) note_longest(group, request.purpose, closed.has_value(), run.count);  // seen all of it
  if (run.count < acceptable) return std::nullopt;
  if (wanted > request.maximum) {
    run.first += wanted_bits / 2;
    run.count -= wanted_bits / 2;
  }
  return take(group_index, run, request);
}

Result<BlockRun> Allocator::allocate(blockio::IoQueue& io, const AllocationRequest& request) {
  State& state = *state_;
  if (request.minimum == 0 || request.maximum < request.minimum) {
    return fail(ErrorCode::invalid_argument, "allocation of no blocks");
  }
  State::Lock lock(state.mutex);
  if (state.free_now < request.minimum || request.minimum > state.layout().group_blocks()) {
    return fail(ErrorCode::no_space);
  }
  const BlockNumber start = state.search_start(request);
  const std::uint32_t start_group = state.layout().group_of(start);
  const auto start_offset = static_cast<std::uint32_t>(start - state.layout().group_first(start_group));
  const auto group_count = static_cast<std::uint32_t>(state.groups.size());
  const bool avoids = request.avoid_group < group_count && group_count > 1;
  std::optional<Error> broken;  // the first bitmap that could not be had

  // Whether the group may hold such a run, with its bitmaps then in memory.
  const auto may_hold = [&](std::uint32_t index, std::uint64_t length) {
    const State::Group& group = state.groups[index];
    if (group.broken || group.free_now < length || state.longest(index, request.purpose) < length) {
      return false;
    }
    Status loaded = state.load(lock, io, index);
    if (loaded) return state.longest(index, request.purpose) >= length;
    if (loaded.error().code() != ErrorCode::out_of_memory) {  // which passes
      state.groups[index].broken = true;
      log(LogLevel::error, "nothing more is allocated in group {}: {}", index, loaded.error().message());
    }
    if (!broken) broken = std::move(loaded).error();
    return false;
  };

  bool crowded = false;
  if (request.goal != BlockNumber{0} && start == request.goal && !(avoids && start_group == request.avoid_group) &&
      may_hold(start_group, request.minimum)) {
    if (const auto run = state.take_at_goal(start_group, request)) return *run;
    crowded = state.groups[start_group].bitmaps->busy.all_set(start_offset, 1) &&
              !state.layout().touches_fixed(BlockRun{start, 1});
  }
  const Lengths lengths = lengths_to_try(request, state.layout().group_blocks(), crowded);
  for (const std::uint64_t length : lengths) {
    const bool last_resort = length == request.minimum;
    std::uint32_t searched = 0;
    for (std::uint32_t i = 0; i < group_count; ++i) {
      const std::uint32_t index = (start_group + i) % group_count;
      if ((avoids && index == request.avoid_group) || !may_hold(index, length)) continue;
      // The last resort takes the longest run of the first group that has one at all.
      const std::uint64_t wanted =
          last_resort ? std::min<std::uint64_t>(request.maximum, state.layout().group_blocks()) : length;
      if (const auto run = state.take_in_group(index, i == 0 ? start_offset : 0, wanted, length, request)) return *run;
      if (!last_resort && ++searched == kMaxGroupsPerLength) break;
    }
  }
  if (avoids && may_hold(request.avoid_group, request.minimum)) {
    const std::uint64_t wanted = std::min<std::uint64_t>(request.maximum, state.layout().group_blocks());
    if (const auto run = state.take_in_group(request.avoid_group, 0, wanted, request.minimum, request)) return *run;
  }
  if (broken) return fail(std::move(*broken));
  return fail(ErrorCode::no_space);
}

Result<BlockRun> Allocator::take_free(blockio::IoQueue& io, BlockRun within, std::uint64_t minimum,
                                      std::uint64_t maximum) {
  State& state = *state_;
  if (minimum == 0 || maximum < minimum || !state.in_bounds(within)) return fail(ErrorCode::invalid_argument);
  State::Lock lock(state.mutex);
  for (BlockNumber from = within.first; from < within.end();) {
    const std::uint32_t index = state.layout().group_of(from);
    const BlockNumber first = state.layout().group_first(index);
    const BlockNumber stop = std::min(within.end(), first + state.layout().blocks_in_group(index));
    if (!state.groups[index].broken && state.groups[index].free_now >= minimum) {
      TRY(state.load(lock, io, index));
      const Bitmap& busy = state.groups[index].bitmaps->busy;
      const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(minimum, busy.size()));
      const Bitmap::Run run = busy.find_clear(static_cast<std::uint32_t>(from - first), wanted);
      const std::uint64_t room = stop - std::min(stop, first + run.first);
      if (run.count >= minimum && room >= minimum) {
        const auto limit = static_cast<std::uint32_t>(std::min(maximum, room));
        AllocationRequest request;
        request.goal = first + run.first;
        request.maximum = limit;
        return state.take(index, {run.first, busy.clear_length(run.first, limit)}, request);
      }
    }
    from = stop;
  }
  return BlockRun{};
}

}  // namespace ashlar::store
