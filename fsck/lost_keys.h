// Ranges of keys, and which of them are out of reach.
#pragma once

#include <map>
#include <optional>

#include "fs/format/key.h"

namespace ashlar::fsck {

// Keys from `lowest` up to `limit`, or all of them.
struct KeyRange {
  format::Key lowest = format::kLowestKey;
  std::optional<format::Key> limit;

  [[nodiscard]] bool holds(const format::Key& key) const { return key >= lowest && (!limit || key < *limit); }
};

// Kept in order and without overlaps, so that a question takes a search by halves.
class LostKeys {
 public:
  void add(const KeyRange& range);

  [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }
  [[nodiscard]] bool holds(const format::Key& key) const { return touches(key, key); }
  bool operator==(const LostKeys&) const = default;
  // Whether any key from `first` to `last` (that one too) is lost.
  [[nodiscard]] bool touches(const format::Key& first, const format::Key& last) const;

 private:
  std::map<format::Key, format::Key> ranges_;  // from the lowest to before the other; no item has the highest key
};

}  // namespace ashlar::fsck
