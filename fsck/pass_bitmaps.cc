// The group table and the bitmaps, both copies, against what the tree owns.
#include <algorithm>
#include <bit>

#include "fsck/bit_words.h"
#include "fsck/stored_bitmaps.h"

namespace ashlar::fsck {
namespace {

constexpr std::uint32_t kGroupsPerProgress = 64;

class BitmapCheck {
 public:
  explicit BitmapCheck(CheckContext& context)
      : context_(context),
        layout_(context.layout),
        block_size_(context.layout.block_size()),
        bitmaps_(context),
        expected_(block_size_),
        stored_(block_size_) {}

  [[nodiscard]] Status run() {
    TRY(bitmaps_.read_table());
    if (context_.report.is_fatal()) return {};
    std::uint64_t free_blocks = 0;
    for (std::uint32_t group = 0; group < layout_.group_count(); ++group) {
      if (group % kGroupsPerProgress == 0) {
        TRY(context_.tell_progress(static_cast<double>(group) / static_cast<double>(layout_.group_count())));
      }
      free_blocks += bitmaps_.entry(group).free_blocks;
      TRY(check_group(group));
    }
    if (free_blocks != context_.superblock.free_blocks) {
      context_.report.add(FindingId::free_count_wrong, context_.superblock.free_blocks.value(), free_blocks);
    }
    return {};
  }

 private:
  [[nodiscard]] Status check_group(std::uint32_t group) {
    const format::GroupEntry& entry = bitmaps_.entry(group);
    const bool initialised = (entry.flags & format::kGroupInitialised) != 0;
    if (!initialised && context_.owned.group(group) == nullptr && !context_.run_changes.contains(group)) {
      check_free_count(group, layout_.initial_free_blocks(group));
      return {};
    }
    if (!TRY(bitmaps_.load(group, stored_))) return {};
    std::uint32_t used = 0;
    for (const std::byte byte : stored_)
      used += static_cast<std::uint32_t>(std::popcount(std::to_integer<unsigned>(byte)));
    check_free_count(group, layout_.group_blocks() - used);
    apply_log(group);
    compare(group);
    return {};
  }

  void check_free_count(std::uint32_t group, std::uint32_t free_blocks) {
    if (bitmaps_.entry(group).free_blocks == free_blocks) return;
    context_.report.add(FindingId::group_free_count_wrong, group, bitmaps_.entry(group).free_blocks.value(),
                        free_blocks);
  }

  void apply_log(std::uint32_t group) {
    const auto changes = context_.run_changes.find(group);
    if (changes == context_.run_changes.end()) return;
    const std::uint64_t first = layout_.group_first(group).value();
    const std::uint64_t end = first + layout_.blocks_in_group(group);
    for (const CheckContext::RunChange& change : changes->second) {
      const std::uint64_t from = std::max(change.run.first.value(), first);
      const std::uint64_t to = std::min(change.run.end().value(), end);
      std::optional<std::uint64_t> contradicting;
      for_each_word(from - first, to - first, [&](std::uint64_t word, std::uint64_t mask) {
        const std::uint64_t before = load_word(stored_, word);
        const std::uint64_t wrong = (change.allocated ? before : ~before) & mask;
        if (wrong != 0 && !contradicting) contradicting = first + lowest_bit(word, wrong);
        store_word(stored_, word, change.allocated ? before | mask : before & ~mask);
      });
      if (contradicting) context_.report.add(FindingId::log_record_bad, *contradicting);
    }
  }

  void compare(std::uint32_t group) {
    layout_.initial_bitmap(group, expected_);
    if (const std::vector<std::byte>* owned = context_.owned.group(group)) {
      for (std::size_t i = 0; i < block_size_; ++i) expected_[i] |= (*owned)[i];
    }
    if (expected_ == stored_) return;
    const std::uint64_t end = layout_.blocks_in_group(group);
    bool is_past_end = false;
    for_each_word(end, layout_.group_blocks(), [&](std::uint64_t word, std::uint64_t mask) {
      is_past_end = is_past_end || (load_word(stored_, word) & mask) != mask;
    });
    if (is_past_end) context_.report.add(FindingId::bitmap_past_end, group);
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
  StoredBitmaps bitmaps_;
  std::vector<std::byte> expected_;
  std::vector<std::byte> stored_;
};

}  // namespace

Status pass_bitmaps(CheckContext& context) { return BitmapCheck(context).run(); }

}  // namespace ashlar::fsck
