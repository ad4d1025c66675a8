// Places for nodes on a volume whose free blocks are scattered: a node needs several in a row. A zone is where data is
// moved away from, by whoever knows whose it is, and does not go to as long as there is room elsewhere. Zones are in
// memory only: they say where blocks are taken, not whose they are.
#include <algorithm>
#include <numeric>

#include "fs/base/log.h"
#include "fs/store/allocator/allocator_state.h"

namespace ashlar::store {
namespace {

// Nodes for which a zone has room at least.
constexpr std::uint64_t kLeastNodes = 8;
// Free blocks elsewhere, for each in use in the zone: others want some meanwhile.
constexpr std::uint64_t kRoomElsewhere = 2;
// Zones that are this part of what was asked for are not worth looking for what lies in them.
constexpr std::uint64_t kTooSmallPart = 16;
// Zones opened at once: whoever needs them waits until they are empty.
constexpr std::size_t kMaxZonesAtOnce = 8;

bool overlap(BlockRun a, BlockRun b) noexcept { return a.first < b.end() && b.first < a.end(); }

}  // namespace

std::optional<Allocator::State::Chunk> Allocator::State::emptiest_chunk(std::uint32_t group,
                                                                        std::uint64_t blocks) const {
  const Bitmap& busy = groups[group].bitmaps->busy;
  const std::uint32_t end = layout().blocks_in_group(group);
  const auto size = static_cast<std::uint32_t>(blocks);
  std::optional<Chunk> best;
  for (std::uint32_t first = 0; first + size <= end; first += size) {
    const Chunk chunk{{layout().group_first(group) + first, size}, size - busy.count_set(first, size)};
    if (chunk.free <= (best ? best->free : 0)) continue;
    const bool taken = std::any_of(metadata_zones.begin(), metadata_zones.end(),
                                   [&](BlockRun zone) { return overlap(zone, chunk.run); });
    if (!taken) best = chunk;
  }
  return best;
}

// A smaller zone where what lies in it would not find room elsewhere.
std::optional<Allocator::State::Chunk> Allocator::State::choose_zone(std::uint32_t group, std::uint64_t most,
                                                                     std::uint64_t room) const {
  const std::uint64_t least = kLeastNodes * format::kCopies * layout().node_blocks();
  for (std::uint64_t blocks = std::min<std::uint64_t>(most, layout().group_blocks() / 2); blocks >= least;
       blocks /= 2) {
    const std::optional<Chunk> chunk = emptiest_chunk(group, blocks);
    if (chunk && room_taken(*chunk) <= room) return chunk;
  }
  return std::nullopt;
}

// Its own free blocks are no room for what is moved.
std::uint64_t Allocator::State::room_taken(const Chunk& chunk) {
  return chunk.free + kRoomElsewhere * (chunk.run.count - chunk.free);
}

std::vector<std::uint32_t> Allocator::State::emptiest_groups() const {
  std::vector<std::uint32_t> order(groups.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(kMaxZonesAtOnce, order.size()));
  std::partial_sort(order.begin(), end, order.end(),
                    [this](std::uint32_t a, std::uint32_t b) { return groups[a].free_now > groups[b].free_now; });
  order.erase(end, order.end());
  return order;
}

void Allocator::State::forget_longest(BlockRun zone) {
  Group& group = groups[layout().group_of(zone.first)];
  group.longest.fill(group.free_now);
}

Result<std::vector<BlockRun>> Allocator::open_metadata_zones(blockio::IoQueue& io, std::uint64_t blocks) {
  State& state = *state_;
  std::vector<BlockRun> zones;
  std::uint64_t found = 0;
  State::Lock lock(state.mutex);
  std::uint64_t room = state.free_now;
  for (const std::uint32_t group : state.emptiest_groups()) {
    if (found >= blocks) break;
    if (state.groups[group].broken) continue;
    TRY(state.load(lock, io, group));
    const auto zone = state.choose_zone(group, blocks - found, room);
    if (!zone) continue;
    zones.push_back(zone->run);
    found += zone->run.count;
    room -= State::room_taken(*zone);
  }
  if (found <= blocks / kTooSmallPart) return fail(ErrorCode::no_space, "free blocks are too few to put them together");
  for (const BlockRun& zone : zones) state.open_zone(zone);
  state.rewind_metadata();
  std::sort(zones.begin(), zones.end(), [](BlockRun a, BlockRun b) { return a.first < b.first; });
  return zones;
}

void Allocator::State::open_zone(BlockRun zone) {
  if (metadata_zones.size() == kMaxMetadataZones) {
    forget_longest(metadata_zones.front());
    metadata_zones.pop_front();
  }
  metadata_zones.push_back(zone);
}

bool Allocator::close_metadata_zones() {
  const std::scoped_lock lock(state_->mutex);
  const bool any = !state_->metadata_zones.empty();
  for (const BlockRun& zone : state_->metadata_zones) state_->forget_longest(zone);
  state_->metadata_zones.clear();
  return any;
}

std::optional<Bitmap> Allocator::State::closed_to_data(std::uint32_t group, Purpose purpose) const {
  std::optional<Bitmap> closed;
  if (purpose != Purpose::data) return closed;
  for (const BlockRun& zone : metadata_zones) {
    if (layout().group_of(zone.first) != group) continue;
    if (!closed) closed = groups[group].bitmaps->busy;
    closed->set(static_cast<std::uint32_t>(zone.first - layout().group_first(group)),
                static_cast<std::uint32_t>(zone.count));
  }
  return closed;
}

}  // namespace ashlar::store
