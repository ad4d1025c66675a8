// A bit for each block of the volume, kept only for groups where one is set: 4 KiB of memory a group in use (128 MiB).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "fs/format/layout.h"

namespace ashlar::fsck {

class BlockMap {
 public:
  explicit BlockMap(const format::Layout& layout) : layout_(layout) {}

  // Sets the bits of a run inside the volume; returns the first block that was set already, if any.
  [[nodiscard]] std::optional<BlockNumber> claim(BlockRun run);
  // Sets all bits that `other` has, a map of the same volume; false when some were set already.
  [[nodiscard]] bool claim_all(const BlockMap& other);

  // The first block of a run inside the volume whose bit is set, if any.
  [[nodiscard]] std::optional<BlockNumber> first_taken(BlockRun run) const;

  // The group's bits in bitmap order, a block of them, null when none was ever set.
  [[nodiscard]] const std::vector<std::byte>* group(std::uint32_t group) const;

 private:
  std::vector<std::byte>& bits(std::uint32_t group);

  format::Layout layout_;
  std::map<std::uint32_t, std::vector<std::byte>> groups_;
};

}  // namespace ashlar::fsck
