// The group table and the bitmaps, both copies, against what the tree owns.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fs/format/checksum.h"
#include "fsck/context.h"

namespace ashlar::fsck {
namespace {

constexpr std::uint32_t kGroupsPerProgress = 64;

class BitmapCheck {
 public:
  explicit BitmapCheck(CheckContext& context)
      : context_(context),
        layout_(context.layout),
        block_size_(context.layout.block_size()),
        buffer_(format::kSuperblockSlots * format::kCopies * block_size_),
        expected_(block_size_),
        stored_(block_size_) {}

  [[nodiscard]] Status run() {
    if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
    TRY(read_table());
    if (context_.report.is_fatal()) return {};
    std::uint64_t free_blocks = 0;
    for (std::uint32_t group = 0; group < layout_.group_count(); ++group) {
      if (group % kGroupsPerProgress == 0) {
        TRY(context_.tell_progress(kAfterNames + (1.0 - kAfterNames) * group / layout_.group_count()));
      }
      free_blocks += entries_[group].free_blocks;
      check_group(group);
    }
    if (free_blocks != context_.superblock.free_blocks) {
      context_.report.add(FindingId::free_count_wrong, context_.superblock.free_blocks.value(), free_blocks);
    }
    return {};
  }

 private:
  [[nodiscard]] std::span<std::byte> image(std::size_t slot, std::size_t copy) {
    return buffer_.span().subspan((slot * format::kCopies + copy) * block_size_, block_size_);
  }
  [[nodiscard]] bool read(BlockNumber block, std::span<std::byte> into) {
    blockio::IoOp op = blockio::IoOp::read(layout_.byte_offset(block), into);
    return context_.io.run(op).has_value();
  }

  [[nodiscard]] Status read_table() {
    entries_.resize(layout_.group_count());
    std::vector<format::le32> checksums;
    for (std::uint32_t index = 0; index < layout_.group_table_blocks(); ++index) {
      const std::span<const std::byte> block = table_block(index);
      if (block.empty()) {
        context_.report.add(FindingId::group_table_block_lost, index);
        return {};
      }
      format::GroupTableHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      checksums.push_back(header.crc);
      const std::size_t first = std::size_t{index} * layout_.group_table_entries_per_block();
      const std::size_t count = std::min<std::size_t>(header.count, entries_.size() - std::min(first, entries_.size()));
      std::memcpy(&entries_[first], block.data() + sizeof header, count * sizeof(format::GroupEntry));
    }
    if (format::crc32c(std::as_bytes(std::span(checksums))) != context_.superblock.group_table_crc) {
      context_.report.add(FindingId::group_table_unproven);
    }
    return {};
  }

  // The current version of a table block, empty when there is none.
  [[nodiscard]] std::span<const std::byte> table_block(std::uint32_t index) {
    const Generation newest{context_.superblock.generation};
    std::array<std::array<bool, format::kCopies>, format::kSuperblockSlots> valid{};
    std::optional<std::size_t> best;
    std::uint64_t best_generation = 0;
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        const std::span<std::byte> block = image(slot, copy);
        valid[slot][copy] =
            read(layout_.group_table_block(index, slot, copy), block) &&
            format::validate_group_table_block(block, context_.superblock.uuid, index, newest).has_value();
        if (!valid[slot][copy]) continue;
        format::GroupTableHeader header;
        std::memcpy(&header, block.data(), sizeof header);
        if (!best || header.generation > best_generation) {
          best = slot;
          best_generation = header.generation;
        }
      }
    }
    if (!best) return {};
    const std::size_t good = valid[*best][0] ? 0 : 1;
    const std::size_t other = 1 - good;
    if (!valid[*best][other] || std::memcmp(image(*best, 0).data(), image(*best, 1).data(), block_size_) != 0) {
      context_.report.add(FindingId::group_table_copy_bad, index, other);
      context_.heal(layout_.byte_offset(layout_.group_table_block(index, *best, other)), image(*best, good));
    }
    return image(*best, good);
  }

  void check_group(std::uint32_t group) {
    const format::GroupEntry& entry = entries_[group];
    const bool initialised = (entry.flags & format::kGroupInitialised) != 0;
    if (!initialised && context_.owned.group(group) == nullptr && !context_.run_changes.contains(group)) {
      check_free_count(group, layout_.initial_free_blocks(group));
      return;
    }
    if (!load_bitmap(group, initialised)) return;
    std::uint32_t used = 0;
    for (const std::byte byte : stored_)
      used += static_cast<std::uint32_t>(std::popcount(std::to_integer<unsigned>(byte)));
    check_free_count(group, layout_.group_blocks() - used);
    apply_log(group);
    compare(group);
  }

  void check_free_count(std::uint32_t group, std::uint32_t free_blocks) {
    if (entries_[group].free_blocks == free_blocks) return;
    context_.report.add(FindingId::group_free_count_wrong, group, entries_[group].free_blocks.value(), free_blocks);
  }

  // Into stored_; false when neither copy is good.
  [[nodiscard]] bool load_bitmap(std::uint32_t group, bool initialised) {
    if (!initialised) {
      layout_.initial_bitmap(group, stored_);
      return true;
    }
    const format::GroupEntry& entry = entries_[group];
    const std::size_t slot = (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
    std::array<bool, format::kCopies> good{};
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      good[copy] = read(layout_.bitmap_block(group, slot, copy), image(slot, copy)) &&
                   format::crc32c(image(slot, copy)) == entry.bitmap_crc;
    }
    if (!good[0] && !good[1]) {
      context_.report.add(FindingId::bitmap_lost, group);
      return false;
    }
    const std::size_t best = good[0] ? 0 : 1;
    if (!good[1 - best]) {
      context_.report.add(FindingId::bitmap_copy_bad, group, 1 - best);
      context_.heal(layout_.byte_offset(layout_.bitmap_block(group, slot, 1 - best)), image(slot, best));
    }
    std::memcpy(stored_.data(), image(slot, best).data(), block_size_);
    return true;
  }

  void apply_log(std::uint32_t group) {
    const auto changes = context_.run_changes.find(group);
    if (changes == context_.run_changes.end()) return;
    const std::uint64_t first = layout_.group_first(group).value();
    const std::uint64_t end = first + layout_.blocks_in_group(group);
    for (const CheckContext::RunChange& change : changes->second) {
      const std::uint64_t to = std::min(change.run.end().value(), end);
      bool contradicts = false;
      for (std::uint64_t block = std::max(change.run.first.value(), first); block < to; ++block) {
        std::byte& byte = stored_[(block - first) / 8];
        const std::byte bit{static_cast<unsigned char>(1U << ((block - first) % 8))};
        const bool is_set = (byte & bit) != std::byte{0};
        if (is_set == change.allocated && !contradicts) {
          context_.report.add(FindingId::log_record_bad, block);
          contradicts = true;
        }
        byte = change.allocated ? byte | bit : byte & ~bit;
      }
    }
  }

  void compare(std::uint32_t group) {
    layout_.initial_bitmap(group, expected_);
    if (const std::vector<std::uint8_t>* owned = context_.owned.group(group)) {
      for (std::size_t i = 0; i < block_size_; ++i) expected_[i] |= std::byte{(*owned)[i]};
    }
    if (expected_ == stored_) return;
    report_runs(group, FindingId::blocks_leaked, stored_, expected_);
    report_runs(group, FindingId::blocks_not_marked, expected_, stored_);
  }

  // Runs of blocks that are set in `a` and clear in `b`.
  void report_runs(std::uint32_t group, FindingId id, std::span<const std::byte> a, std::span<const std::byte> b) {
    const std::uint64_t first = layout_.group_first(group).value();
    const auto differs = [&](std::uint64_t bit) {
      const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
      return (a[bit / 8] & ~b[bit / 8] & mask) != std::byte{0};
    };
    for (std::uint64_t bit = 0; bit < layout_.blocks_in_group(group); ++bit) {
      if (!differs(bit)) continue;
      const std::uint64_t begin = bit;
      while (bit + 1 < layout_.blocks_in_group(group) && differs(bit + 1)) ++bit;
      context_.report.add(id, first + begin, first + bit);
    }
  }

  CheckContext& context_;
  const format::Layout& layout_;
  const std::size_t block_size_;
  blockio::AlignedBuffer buffer_;
  std::vector<std::byte> expected_;
  std::vector<std::byte> stored_;
  std::vector<format::GroupEntry> entries_;
};

}  // namespace

Status pass_bitmaps(CheckContext& context) { return BitmapCheck(context).run(); }

}  // namespace ashlar::fsck
