#include "fs/store/tree/miss_locality.h"

namespace ashlar::store {

bool MissLocality::note(const Node* parent, std::uint32_t index) {
  const std::scoped_lock lock(mutex_);
  for (Miss& miss : recent_) {
    if (miss.parent != parent) continue;
    const std::uint32_t distance = miss.index < index ? index - miss.index : miss.index - index;
    if (distance > kNear) continue;
    miss.index = index;
    return true;
  }
  recent_[next_] = {parent, index};
  next_ = (next_ + 1) % kWalks;
  return false;
}

}  // namespace ashlar::store
