#include "fsck/block_map.h"

#include <algorithm>

#include "fsck/bit_words.h"

namespace ashlar::fsck {

std::vector<std::byte>& BlockMap::bits(std::uint32_t group) {
  std::vector<std::byte>& bytes = groups_[group];
  if (bytes.empty()) bytes.resize(layout_.block_size());
  return bytes;
}

// By words, not by blocks: an extent may cover 2^20 blocks in 24 bytes of item, and a hostile tree is full of such.
std::optional<BlockNumber> BlockMap::claim(BlockRun run) {
  std::optional<BlockNumber> taken;
  const std::uint64_t group_blocks = layout_.group_blocks();
  std::uint64_t block = run.first.value();
  const std::uint64_t end = run.end().value();
  while (block < end) {
    const std::uint64_t group_first = block - block % group_blocks;
    std::vector<std::byte>& bytes = bits(layout_.group_of(BlockNumber{block}));
    const std::uint64_t stop = std::min(end, group_first + group_blocks) - group_first;
    for_each_word(block - group_first, stop, [&](std::uint64_t word, std::uint64_t mask) {
      const std::uint64_t before = load_word(bytes, word);
      if ((before & mask) != 0 && !taken) taken = BlockNumber{group_first + lowest_bit(word, before & mask)};
      store_word(bytes, word, before | mask);
    });
    block = group_first + stop;
  }
  return taken;
}

bool BlockMap::claim_all(const BlockMap& other) {
  bool all_free = true;
  for (const auto& [group, theirs] : other.groups_) {
    std::vector<std::byte>& ours = bits(group);
    for (std::uint64_t word = 0; word < ours.size() * 8 / kWordBits; ++word) {
      const std::uint64_t before = load_word(ours, word);
      const std::uint64_t added = load_word(theirs, word);
      all_free = all_free && (before & added) == 0;
      store_word(ours, word, before | added);
    }
  }
  return all_free;
}

std::optional<BlockNumber> BlockMap::first_taken(BlockRun run) const {
  const std::uint64_t group_blocks = layout_.group_blocks();
  for (std::uint64_t block = run.first.value(); block < run.end().value();) {
    const std::uint64_t group_first = block - block % group_blocks;
    const std::uint64_t stop = std::min(run.end().value(), group_first + group_blocks) - group_first;
    std::optional<BlockNumber> taken;
    if (const std::vector<std::byte>* const bytes = group(layout_.group_of(BlockNumber{block}))) {
      for_each_word(block - group_first, stop, [&](std::uint64_t word, std::uint64_t mask) {
        const std::uint64_t both = taken ? 0 : load_word(*bytes, word) & mask;
        if (both != 0) taken = BlockNumber{group_first + lowest_bit(word, both)};
      });
    }
    if (taken) return taken;
    block = group_first + stop;
  }
  return std::nullopt;
}

const std::vector<std::byte>* BlockMap::group(std::uint32_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

}  // namespace ashlar::fsck
