// A bit for each block of the volume, kept only for groups where one is set: 4 KiB of memory a group in use (128 MiB).
#pragma once

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

  // The first block of a run inside the volume whose bit is set, if any.
  [[nodiscard]] std::optional<BlockNumber> first_taken(BlockRun run) const;

  // The group's bits as bytes in bitmap order, null when none was ever set.
  [[nodiscard]] const std::vector<std::uint8_t>* group(std::uint32_t group) const;

 private:
  std::vector<std::uint8_t>& bits(std::uint32_t group);

  format::Layout layout_;
  std::map<std::uint32_t, std::vector<std::uint8_t>> groups_;
};

}  // namespace ashlar::fsck
