#include "fsck/block_map.h"

namespace ashlar::fsck {

std::vector<std::uint8_t>& BlockMap::bits(std::uint32_t group) {
  std::vector<std::uint8_t>& bytes = groups_[group];
  if (bytes.empty()) bytes.resize(layout_.block_size());
  return bytes;
}

std::optional<BlockNumber> BlockMap::claim(BlockRun run) {
  std::optional<BlockNumber> taken;
  for (BlockNumber block = run.first; block < run.end(); ++block) {
    const std::uint64_t within = block.value() % layout_.group_blocks();
    std::uint8_t& byte = bits(layout_.group_of(block))[within / 8];
    const auto bit = static_cast<std::uint8_t>(1U << (within % 8));
    if ((byte & bit) != 0 && !taken) taken = block;
    byte |= bit;
  }
  return taken;
}

void BlockMap::set(BlockRun run, bool value) {
  for (BlockNumber block = run.first; block < run.end(); ++block) {
    const std::uint64_t within = block.value() % layout_.group_blocks();
    std::uint8_t& byte = bits(layout_.group_of(block))[within / 8];
    const auto bit = static_cast<std::uint8_t>(1U << (within % 8));
    byte = static_cast<std::uint8_t>(value ? byte | bit : byte & ~bit);
  }
}

const std::vector<std::uint8_t>* BlockMap::group(std::uint32_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

}  // namespace ashlar::fsck
