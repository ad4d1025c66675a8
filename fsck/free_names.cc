#include "fsck/free_names.h"

#include <algorithm>

#include "fs/format/items.h"

namespace ashlar::fsck {

void FreeNames::note(std::string_view name) {
  const std::size_t length = name.find_last_not_of('~') + 1;
  const auto found = taken_.find(name.substr(0, length));
  if (found == taken_.end()) return;
  std::vector<bool>& taken = found->second;
  const std::size_t behind = name.size() - length;
  taken.resize(std::max(taken.size(), behind + 1));
  taken[behind] = true;
}

void FreeNames::forget_notes() {
  for (auto& [stem, taken] : taken_) taken.clear();
}

std::string FreeNames::choose(const std::string& stem) const {
  const auto found = taken_.find(stem);
  if (found == taken_.end()) return {};
  const auto free = std::find(found->second.begin(), found->second.end(), false);
  const auto behind = static_cast<std::size_t>(free - found->second.begin());
  return stem.size() + behind > format::kMaxNameLength ? std::string{} : stem + std::string(behind, '~');
}

}  // namespace ashlar::fsck
