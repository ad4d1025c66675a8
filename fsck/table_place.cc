#include "fsck/table_place.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "fsck/bit_words.h"
#include "fsck/stored_bitmaps.h"
#include "fsck/tree_walk.h"

namespace ashlar::fsck {
namespace {

class PlaceSearch {
 public:
  PlaceSearch(CheckContext& context, std::uint64_t blocks)
      : context_(context),
        layout_(context.layout),
        blocks_(blocks),
        bitmaps_(context),
        stored_(layout_.block_size()),
        taken_(layout_.block_size()) {}

  [[nodiscard]] Result<BlockNumber> run() {
    TRY(bitmaps_.read_table());
    // What is in use and nobody's is the table's; free blocks may also have been given out since the checkpoint.
    for (const bool in_use : {true, false}) {
      for (std::uint32_t group = 0; group < layout_.group_count(); ++group) {
        if (const std::optional<BlockNumber> place = TRY(place_in(group, in_use))) return *place;
      }
    }
    return fail(ErrorCode::no_space, "there is no room for the copy of the group table that is lost");
  }

 private:
  [[nodiscard]] Result<std::optional<BlockNumber>> place_in(std::uint32_t group, bool in_use) {
    if (!bitmaps_.is_known(group) || !TRY(bitmaps_.load(group, stored_))) {
      std::fill(stored_.begin(), stored_.end(), std::byte{0xff});  // all of it may be in use
    }
    layout_.initial_bitmap(group, taken_);
    if (const std::vector<std::byte>* const owned = context_.owned.group(group)) {
      for (std::size_t i = 0; i < taken_.size(); ++i) taken_[i] |= (*owned)[i];
    }
    std::uint64_t run = 0;
    for (std::uint64_t bit = 0; bit < layout_.blocks_in_group(group); ++bit) {
      run = is_set(taken_, bit) || is_set(stored_, bit) != in_use ? 0 : run + 1;
      if (run == blocks_) return std::optional(layout_.group_first(group) + (bit + 1 - blocks_));
    }
    return std::optional<BlockNumber>();
  }
  [[nodiscard]] static bool is_set(const std::vector<std::byte>& bitmap, std::uint64_t bit) {
    return (load_word(bitmap, bit / kWordBits) >> (bit % kWordBits) & 1) != 0;
  }

  CheckContext& context_;
  const format::Layout& layout_;
  const std::uint64_t blocks_;
  StoredBitmaps bitmaps_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> taken_;
};

}  // namespace

Status place_lost_table(blockio::BlockDevice& device, blockio::IoQueue& io, format::Superblock& superblock) {
  for (format::le64& first : superblock.group_table_first) {
    if (first != 0) continue;
    CheckContext context(device, io, CheckOptions{}, superblock);
    TRY(pass_log(context));
    TreeWalk walk(context, [&context](const format::Key& key, std::span<const std::byte> value) {
      if (key.kind != format::ItemKind::extent) return Status{};
      const Result<format::Extent> extent = format::parse_extent(key, value, context.layout.block_count());
      if (extent) static_cast<void>(context.owned.claim({extent->physical, extent->count}));
      return Status{};
    });
    TRY(walk.run());
    const std::uint64_t blocks = std::uint64_t{superblock.group_table_blocks} * format::kSuperblockSlots;
    first = TRY(PlaceSearch(context, blocks).run())
    .value();
  }
  return {};
}

}  // namespace ashlar::fsck
