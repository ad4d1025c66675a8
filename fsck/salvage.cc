#include "fsck/salvage.h"

#include <algorithm>
#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fsck/bit_words.h"
#include "fsck/block_scan.h"

namespace ashlar::fsck {
namespace {

// Blocks that nobody asked for are read along where they are fewer than this.
constexpr std::uint64_t kGapBlocks = 64;

class Salvage {
 public:
  Salvage(CheckContext& context, StoredBitmaps& bitmaps, const BlockMap& files, bool only_in_use)
      : context_(context),
        bitmaps_(bitmaps),
        files_(files),
        only_in_use_(only_in_use),
        layout_(context.layout),
        block_size_(layout_.block_size()),
        scan_(context.io, layout_.block_size(), layout_.node_size()),
        node_(layout_.node_size()),
        bitmap_(block_size_) {}

  [[nodiscard]] Status run() {
    if (!scan_.has_memory() || node_.empty()) return fail(ErrorCode::out_of_memory);
    for (std::uint32_t group = 0; group < layout_.group_count(); ++group) TRY(scan_group(group));
    // The newest first: its items count.
    std::sort(found_.begin(), found_.end(), [](const Leaf& a, const Leaf& b) { return a.generation > b.generation; });
    context_.salvaged = std::make_shared<SalvagedItems>();
    SalvagedItems& items = *context_.salvaged;
    items.first = SalvageWindow(context_.options.most_salvaged);
    items.lost = context_.lost;
    for (const Leaf& leaf : found_) take(leaf, items);
    return {};
  }

 private:
  struct Leaf {
    std::uint64_t generation = 0;
    BlockNumber place;
  };

  [[nodiscard]] Status scan_group(std::uint32_t group) {
    TRY(context_.tell_progress(static_cast<double>(group) / static_cast<double>(layout_.group_count())));
    if (!bitmaps_.is_known(group) || !TRY(bitmaps_.load(group, bitmap_))) {
      if (only_in_use_) return {};
      // Nothing tells what of the group is in use, so all of it may be.
      std::fill(bitmap_.begin(), bitmap_.end(), std::byte{0xff});
    }
    for (const std::vector<std::byte>* const owned : {context_.owned.group(group), files_.group(group)}) {
      if (owned == nullptr) continue;
      for (std::size_t i = 0; i < block_size_; ++i) bitmap_[i] &= ~(*owned)[i];
    }
    const std::uint64_t blocks = layout_.blocks_in_group(group);
    for (std::uint64_t begin = next_wanted(0, blocks); begin < blocks;) {
      std::uint64_t end = begin + 1;
      std::uint64_t next = next_wanted(end, blocks);
      while (next < blocks && next - end < kGapBlocks) {
        end = next + 1;
        next = next_wanted(end, blocks);
      }
      TRY(scan_run(group, begin, end));
      begin = next;
    }
    return {};
  }

  [[nodiscard]] bool is_wanted(std::uint64_t bit) const {
    return (std::to_integer<unsigned>(bitmap_[bit / 8]) >> (bit % 8) & 1) != 0;
  }
  // The first bit from `bit` on that is set, `end` without.
  [[nodiscard]] std::uint64_t next_wanted(std::uint64_t bit, std::uint64_t end) const {
    std::uint64_t found = end;
    for (std::uint64_t at = bit; at < end && found == end; at = (at / kWordBits + 1) * kWordBits) {
      const std::uint64_t bits = load_word(bitmap_, at / kWordBits) & ~0ULL << (at % kWordBits);
      if (bits != 0) found = std::min(end, lowest_bit(at / kWordBits, bits));
    }
    return found;
  }

  [[nodiscard]] Status scan_run(std::uint32_t group, std::uint64_t begin, std::uint64_t end) {
    const BlockNumber first = layout_.group_first(group);
    return scan_.run({first + begin, end - begin}, [&](BlockNumber place, std::span<const std::byte> bytes) -> Status {
      if (!is_wanted(place - first)) return {};
      format::NodeHeader header;
      std::memcpy(&header, bytes.data(), sizeof header);
      if (header.magic != format::kNodeMagic || header.level != 0) return {};
      // At the run's end the rest of the node may not be in it.
      const bool is_there = bytes.size() >= node_.size() ? is_leaf(place, bytes.first(node_.size())) : load(place);
      if (is_there) found_.push_back({header.generation, place});
      return {};
    });
  }

  // Whether these are a leaf of this volume that belongs where it lies.
  [[nodiscard]] bool is_leaf(BlockNumber place, std::span<const std::byte> node) const {
    if (layout_.touches_fixed({place, layout_.node_blocks()})) return false;
    if (!format::validate_node(node, context_.superblock.uuid, nullptr)) return false;
    const format::NodeHeader& header = format::header_of(node);
    if (header.level != 0 || header.generation > context_.superblock.generation) return false;
    return std::any_of(std::begin(header.address), std::end(header.address),
                       [place](const format::le64& address) { return address == place.value(); });
  }
  // Such a leaf, into node_.
  [[nodiscard]] bool load(BlockNumber place) {
    if (place.value() + layout_.node_blocks() > layout_.block_count()) return false;
    blockio::IoOp read = blockio::IoOp::read(layout_.byte_offset(place), node_.span());
    return context_.io.run(read) && is_leaf(place, node_.span());
  }

  void take(const Leaf& leaf, SalvagedItems& items) {
    if (!load(leaf.place) || !items.first.take(leaf.place, node_.span(), items.lost)) return;
    items.leaves.push_back(leaf.place);
    static_cast<void>(context_.owned.claim({leaf.place, layout_.node_blocks()}));
  }

  CheckContext& context_;
  StoredBitmaps& bitmaps_;
  const BlockMap& files_;
  const bool only_in_use_;
  const format::Layout& layout_;
  const std::size_t block_size_;
  BlockScan scan_;
  blockio::AlignedBuffer node_;
  std::vector<std::byte> bitmap_;
  std::vector<Leaf> found_;
};

}  // namespace

Status salvage_lost_items(CheckContext& context, StoredBitmaps& bitmaps, const BlockMap& files, bool only_in_use) {
  return Salvage(context, bitmaps, files, only_in_use).run();
}

}  // namespace ashlar::fsck
