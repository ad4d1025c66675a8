#include "fs/volume/space_search.h"

#include <utility>
#include <vector>

#include "fs/base/log.h"
#include "fs/volume/evacuation.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {
namespace {

// Evacuations that one operation waits for. What the first makes room for, others may have used up.
constexpr int kMaxEvacuations = 3;
// After one in vain there is another when so much more is free, in parts of it.
constexpr std::uint64_t kMoreThatMayHelp = 16;

// How many blocks were moved.
Result<std::uint64_t> evacuate_zones(VolumeState& volume, blockio::IoQueue& io) {
  const std::vector<BlockRun> zones = TRY(volume.store->open_metadata_zones(io));
  const std::uint64_t moved = TRY(evacuate(volume, io, zones));
  TRY(volume.store->checkpoint(io));
  std::uint64_t blocks = 0;
  for (const BlockRun& zone : zones) blocks += zone.count;
  log(LogLevel::info, "{}: free blocks are scattered: moved {} blocks of data to have {} together for metadata",
      volume.device.name(), moved, blocks);
  return moved;
}

}  // namespace

SpaceSearch::SpaceSearch(VolumeState& volume, blockio::IoQueue& io) noexcept
    : volume_(volume),
      io_(io),
      removals_seen_(volume.reaper.ended()),
      shortages_seen_(volume.store->node_shortages()),
      evacuations_seen_(volume.evacuations.ended) {}

bool SpaceSearch::make_space() {
  if (!waited_ && wait_for_removals()) return true;
  // Others' shortages count as well: then this is one attempt more than would be needed.
  const std::uint64_t shortages = volume_.store->node_shortages();
  if (std::exchange(shortages_seen_, shortages) == shortages) return false;
  return evacuations_++ < kMaxEvacuations && make_room_for_nodes();
}

bool SpaceSearch::wait_for_removals() {
  if (!volume_.reaper.has_work() && volume_.reaper.ended() == removals_seen_) return false;
  waited_ = true;
  volume_.reaper.finish(io_);
  return true;
}

bool SpaceSearch::make_room_for_nodes() {
  Evacuations& evacuations = volume_.evacuations;
  const std::scoped_lock one(evacuations.lock);
  if (evacuations.ended == evacuations_seen_) {
    const std::uint64_t free = volume_.store->space().free;
    if (free <= evacuations.vain_until) return false;
    const Result<std::uint64_t> moved = evacuate_zones(volume_, io_);
    if (!moved || *moved == 0) {
      evacuations.vain_until = free + free / kMoreThatMayHelp;
      // Of no space the operation's own failure speaks.
      if (!moved && moved.error().code() != ErrorCode::no_space) {
        log(LogLevel::warning, "{}: making room for metadata: {}", volume_.device.name(), moved.error().message());
      }
      return false;
    }
    evacuations.vain_until = 0;
    ++evacuations.ended;
  }
  evacuations_seen_ = evacuations.ended;
  return true;
}

}  // namespace ashlar::volume
