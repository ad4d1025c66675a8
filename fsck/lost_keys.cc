#include "fsck/lost_keys.h"

#include <algorithm>
#include <iterator>

namespace ashlar::fsck {

using format::Key;

void LostKeys::add(const KeyRange& range) {
  Key first = range.lowest;
  Key end = range.limit.value_or(format::kHighestKey);
  if (first >= end) return;
  auto at = ranges_.upper_bound(first);
  if (at != ranges_.begin() && std::prev(at)->second >= first) --at;
  while (at != ranges_.end() && at->first <= end) {
    first = std::min(first, at->first);
    end = std::max(end, at->second);
    at = ranges_.erase(at);
  }
  ranges_.emplace(first, end);
}

bool LostKeys::touches(const Key& first, const Key& last) const {
  const auto behind = ranges_.upper_bound(last);
  return behind != ranges_.begin() && std::prev(behind)->second > first;
}

}  // namespace ashlar::fsck
