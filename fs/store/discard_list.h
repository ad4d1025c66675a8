// Where blocks became free that the device has not been told of (mount option discard).
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/base/types.h"

namespace ashlar::store {

// Thread-safe. Only says where to look: by the time somebody does, blocks there may be in use again.
class DiscardList {
 public:
  // At most so many places are remembered: 1 MiB of them. `ashlarctl trim` finds what is forgotten.
  static constexpr std::size_t kMaxPlaces = 65536;

  // `unit`: blocks that the device discards at least.
  explicit DiscardList(std::uint64_t unit) : unit_(unit) {}

  // May be in any order, of a volume that has so many blocks by now. Cheap: what it comes to is found out by next().
  void add(const std::vector<BlockRun>& freed, std::uint64_t volume_blocks);
  // A place that is the caller's from now on, whole units of the volume, cut at its end: neighbours are one place, and
  // a part of a unit stands for the unit, the rest of which may have been free before. Of a longer one than `most`
  // blocks (a unit at least), the end.
  [[nodiscard]] std::optional<BlockRun> next(std::uint64_t most);
  // The end of a place that next() returned, from the unit on in which it begins.
  void put_back(BlockRun place);
  void clear();

 private:
  void arrange();

  const std::uint64_t unit_;
  std::mutex mutex_;  // guards all below
  std::vector<BlockRun> places_;
  bool arranged_ = true;  // ascending, apart from each other
};

}  // namespace ashlar::store
