#include "fsck/block_map.h"

#include <algorithm>
#include <bit>

namespace ashlar::fsck {

std::vector<std::uint8_t>& BlockMap::bits(std::uint32_t group) {
  std::vector<std::uint8_t>& bytes = groups_[group];
  if (bytes.empty()) bytes.resize(layout_.block_size());
  return bytes;
}

// By bytes, not by blocks: an extent may cover 2^20 blocks in 24 bytes of item, and a hostile tree is full of such.
std::optional<BlockNumber> BlockMap::claim(BlockRun run) {
  std::optional<BlockNumber> taken;
  const std::uint64_t group_blocks = layout_.group_blocks();
  std::uint64_t block = run.first.value();
  const std::uint64_t end = run.end().value();
  while (block < end) {
    const std::uint64_t group_first = block - block % group_blocks;
    std::vector<std::uint8_t>& bytes = bits(layout_.group_of(BlockNumber{block}));
    const std::uint64_t stop = std::min(end, group_first + group_blocks) - group_first;
    for (std::uint64_t bit = block - group_first; bit < stop;) {
      const std::uint64_t count = std::min(8 - bit % 8, stop - bit);
      const auto mask = static_cast<std::uint8_t>(((1U << count) - 1U) << (bit % 8));
      std::uint8_t& byte = bytes[bit / 8];
      const auto both = static_cast<std::uint8_t>(byte & mask);
      if (both != 0 && !taken) {
        taken = BlockNumber{group_first + bit / 8 * 8 + static_cast<unsigned>(std::countr_zero(both))};
      }
      byte |= mask;
      bit += count;
    }
    block = group_first + stop;
  }
  return taken;
}

std::optional<BlockNumber> BlockMap::first_taken(BlockRun run) const {
  const std::uint64_t group_blocks = layout_.group_blocks();
  for (std::uint64_t block = run.first.value(); block < run.end().value();) {
    const std::vector<std::uint8_t>* const bytes = group(layout_.group_of(BlockNumber{block}));
    const std::uint64_t bit = block % group_blocks;
    if (bytes == nullptr) {
      block += group_blocks - bit;
    } else if (bit % 8 == 0 && (*bytes)[bit / 8] == 0) {
      block += 8;
    } else if (((*bytes)[bit / 8] >> (bit % 8) & 1) != 0) {
      return BlockNumber{block};
    } else {
      ++block;
    }
  }
  return std::nullopt;
}

const std::vector<std::uint8_t>* BlockMap::group(std::uint32_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

}  // namespace ashlar::fsck
