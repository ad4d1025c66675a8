// Puts names where another seed's hash says they belong: for a volume whose seed is lost with its superblocks.
#pragma once

#include <map>
#include <vector>

#include "fsck/tree_walk.h"

namespace ashlar::fsck {

// Between who reads items and who takes them, both in key order. The names of one directory, or the attributes of one
// inode, are in memory at a time.
class Rehash {
 public:
  Rehash(const std::uint8_t (&seed)[16], ItemVisitor sink);

  [[nodiscard]] Status take(const format::Key& key, std::span<const std::byte> value);
  // After the last.
  [[nodiscard]] Status finish();

 private:
  void collect(const format::Key& key, std::span<const std::byte> value);

  std::uint8_t seed_[16];
  const ItemVisitor sink_;
  format::Key owner_{};  // whose names are being collected: inode and kind
  std::map<std::uint64_t, std::vector<std::byte>> items_;
};

}  // namespace ashlar::fsck
