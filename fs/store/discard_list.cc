#include "fs/store/discard_list.h"

#include <algorithm>

namespace ashlar::store {
namespace {

// Room that arranging a full list must bring for more to be remembered: a checkpoint waits for this, and would arrange
// all of it again for every run that happens to join another.
constexpr std::size_t kWorthwhileRoom = DiscardList::kMaxPlaces / 16;

}  // namespace

void DiscardList::add(const std::vector<BlockRun>& freed, std::uint64_t volume_blocks) {
  const std::scoped_lock lock(mutex_);
  for (const BlockRun& run : freed) {
    if (places_.size() == kMaxPlaces) {
      arrange();
      if (places_.size() > kMaxPlaces - kWorthwhileRoom) return;
    }
    const std::uint64_t first = run.first.value() / unit_ * unit_;
    const std::uint64_t end = std::min((run.end().value() + unit_ - 1) / unit_ * unit_, volume_blocks);
    places_.push_back(BlockRun{BlockNumber{first}, end - first});
    arranged_ = false;
  }
}

std::optional<BlockRun> DiscardList::next(std::uint64_t most) {
  const std::scoped_lock lock(mutex_);
  arrange();
  if (places_.empty()) return std::nullopt;
  BlockRun& place = places_.back();
  if (place.count > most) {
    const std::uint64_t left = (place.count - most + unit_ - 1) / unit_ * unit_;
    if (left < place.count) {
      const BlockRun end{place.first + left, place.count - left};
      place.count = left;
      return end;
    }
  }
  const BlockRun whole = place;
  places_.pop_back();
  return whole;
}

void DiscardList::put_back(BlockRun place) {
  const std::scoped_lock lock(mutex_);
  const BlockNumber first{place.first.value() / unit_ * unit_};
  places_.push_back({first, place.end() - first});
  arranged_ = false;
}

void DiscardList::clear() {
  const std::scoped_lock lock(mutex_);
  places_.clear();
  arranged_ = true;
}

void DiscardList::arrange() {
  if (arranged_) return;
  std::sort(places_.begin(), places_.end(), [](const BlockRun& a, const BlockRun& b) { return a.first < b.first; });
  std::size_t last = 0;
  for (std::size_t i = 1; i < places_.size(); ++i) {
    if (places_[i].first > places_[last].end()) {
      places_[++last] = places_[i];
    } else {
      const BlockNumber end = std::max(places_[last].end(), places_[i].end());
      places_[last].count = end - places_[last].first;
    }
  }
  places_.resize(std::min(last + 1, places_.size()));
  arranged_ = true;
}

}  // namespace ashlar::store
