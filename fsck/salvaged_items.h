// Items that a repair found in leaves to which no node leads: where they are, and their values when they are needed.
#pragma once

#include <array>
#include <map>
#include <span>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/key.h"
#include "fs/format/superblock.h"

namespace ashlar::fsck {

struct SalvagedPlace {
  BlockNumber leaf;
  std::uint32_t index = 0;  // of the item in it
};
using SalvagedItems = std::map<format::Key, SalvagedPlace>;

// Reads the values of items. Neighbours tend to lie in the same leaf, a few of which are kept.
class SalvageReader {
 public:
  SalvageReader(blockio::IoQueue& io, const format::Superblock& superblock) : io_(io), superblock_(superblock) {}

  // Valid until the next call. corrupt_structure when the leaf is not any more what it was.
  [[nodiscard]] Result<std::span<const std::byte>> read(const format::Key& key, const SalvagedPlace& place);

 private:
  static constexpr std::size_t kLeaves = 8;

  struct Leaf {
    BlockNumber place;
    blockio::AlignedBuffer bytes;  // empty: not in use yet
  };

  [[nodiscard]] Result<std::span<const std::byte>> leaf_at(BlockNumber place);

  blockio::IoQueue& io_;
  const format::Superblock superblock_;
  std::array<Leaf, kLeaves> leaves_;
  std::size_t next_ = 0;  // to be replaced
};

}  // namespace ashlar::fsck
