#include "fs/store/recent_places.h"

namespace ashlar::store {

bool RecentPlaces::note(const void* space, std::uint64_t place, std::uint64_t distance) {
  const std::scoped_lock lock(mutex_);
  for (Noted& noted : noted_) {
    if (noted.space != space) continue;
    if ((noted.place < place ? place - noted.place : noted.place - place) > distance) continue;
    noted.place = place;
    return true;
  }
  noted_[next_] = {space, place};
  next_ = (next_ + 1) % kWalks;
  return false;
}

}  // namespace ashlar::store
