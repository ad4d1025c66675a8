#include "fsck/salvage.h"

#include <algorithm>
#include <cstring>

#include "blockio/aligned_buffer.h"

namespace ashlar::fsck {
namespace {

constexpr std::size_t kScanBytes = 1U << 20;

class Salvage {
 public:
  Salvage(CheckContext& context, StoredBitmaps& bitmaps, const BlockMap& files, bool only_in_use)
      : context_(context),
        bitmaps_(bitmaps),
        files_(files),
        only_in_use_(only_in_use),
        layout_(context.layout),
        block_size_(layout_.block_size()),
        scan_(kScanBytes),
        node_(layout_.node_size()),
        bitmap_(block_size_) {}

  [[nodiscard]] Status run() {
    if (scan_.empty() || node_.empty()) return fail(ErrorCode::out_of_memory);
    for (std::uint32_t group = 0; group < layout_.group_count(); ++group) TRY(scan_group(group));
    // The newest first: what is in the map stays.
    std::sort(found_.begin(), found_.end(), [](const Leaf& a, const Leaf& b) { return a.generation > b.generation; });
    for (const Leaf& leaf : found_) take(leaf);
    return {};
  }

 private:
  struct Leaf {
    std::uint64_t generation = 0;
    BlockNumber place;
  };

  [[nodiscard]] Status scan_group(std::uint32_t group) {
    const std::uint64_t first = layout_.group_first(group).value();
    const std::uint64_t blocks = layout_.blocks_in_group(group);
    if (!bitmaps_.load(group, bitmap_)) {
      if (only_in_use_) return {};
      // A bitmap that is lost tells nothing, so all of its group may be in use.
      std::fill(bitmap_.begin(), bitmap_.end(), std::byte{0xff});
    }
    for (const std::vector<std::uint8_t>* const owned : {context_.owned.group(group), files_.group(group)}) {
      if (owned == nullptr) continue;
      for (std::size_t i = 0; i < block_size_; ++i) bitmap_[i] &= ~std::byte{(*owned)[i]};
    }
    const auto wanted = [this](std::uint64_t bit) {
      return (std::to_integer<unsigned>(bitmap_[bit / 8]) >> (bit % 8) & 1) != 0;
    };
    for (std::uint64_t bit = 0; bit < blocks; ++bit) {
      if (!wanted(bit)) continue;
      const std::uint64_t begin = bit;
      while (bit + 1 < blocks && wanted(bit + 1) && (bit + 2 - begin) * block_size_ <= kScanBytes) ++bit;
      scan_run({BlockNumber{first + begin}, bit + 1 - begin});
    }
    return context_.tell_progress(kAfterLog);
  }

  void scan_run(BlockRun run) {
    blockio::IoOp read =
        blockio::IoOp::read(layout_.byte_offset(run.first), scan_.span().first(run.count * block_size_));
    const bool readable = context_.io.run(read).has_value();
    for (std::uint64_t i = 0; i < run.count; ++i) {
      format::NodeHeader header;
      std::memcpy(&header, scan_.data() + i * block_size_, sizeof header);
      const BlockNumber place = run.first + i;
      // Where blocks cannot be read together, each one is tried.
      if (readable && (header.magic != format::kNodeMagic || header.level != 0)) continue;
      if (!load(place)) continue;
      found_.push_back({format::header_of(node_.span()).generation, place});
    }
  }

  // A leaf of this volume that belongs where it lies, into node_.
  [[nodiscard]] bool load(BlockNumber place) {
    const BlockRun run{place, layout_.node_blocks()};
    if (run.end().value() > layout_.block_count() || layout_.touches_fixed(run)) return false;
    blockio::IoOp read = blockio::IoOp::read(layout_.byte_offset(place), node_.span());
    if (!context_.io.run(read) || !format::validate_node(node_.span(), context_.superblock.uuid, nullptr)) return false;
    const format::NodeHeader& header = format::header_of(node_.span());
    if (header.level != 0 || header.generation > context_.superblock.generation) return false;
    return std::any_of(std::begin(header.address), std::end(header.address),
                       [place](const format::le64& address) { return address == place.value(); });
  }

  void take(const Leaf& leaf) {
    if (!load(leaf.place)) return;
    bool used = false;
    for (const format::LeafItem& item : format::leaf_items(node_.span())) {
      const format::Key key = format::key_of(item);
      const bool is_lost = std::any_of(context_.lost.begin(), context_.lost.end(),
                                       [&key](const KeyRange& range) { return range.holds(key); });
      if (!is_lost) continue;
      const std::span<const std::byte> value = format::value_of(node_.span(), item);
      context_.salvaged.try_emplace(key, value.begin(), value.end());
      used = true;
    }
    if (used) static_cast<void>(context_.owned.claim({leaf.place, layout_.node_blocks()}));
  }

  CheckContext& context_;
  StoredBitmaps& bitmaps_;
  const BlockMap& files_;
  const bool only_in_use_;
  const format::Layout& layout_;
  const std::size_t block_size_;
  blockio::AlignedBuffer scan_;
  blockio::AlignedBuffer node_;
  std::vector<std::byte> bitmap_;
  std::vector<Leaf> found_;
};

}  // namespace

Status salvage_lost_items(CheckContext& context, StoredBitmaps& bitmaps, const BlockMap& files, bool only_in_use) {
  return Salvage(context, bitmaps, files, only_in_use).run();
}

}  // namespace ashlar::fsck
