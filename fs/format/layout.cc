#include "fs/format/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "fs/format/checksum.h"

namespace ashlar::format {
namespace {

constexpr std::size_t kTableCrcOffset = offsetof(GroupTableHeader, crc);

bool overlap(const BlockRun& a, const BlockRun& b) noexcept {
  return a.count != 0 && b.count != 0 && a.first < b.end() && b.first < a.end();
}

// [first, first + count) inside a volume of `limit` blocks, without trusting the sum.
bool inside(const BlockRun& run, std::uint64_t limit) noexcept {
  return run.first.value() < limit && run.count <= limit - run.first.value();
}

Status check_sizes(std::uint32_t block_size, std::uint32_t node_size) {
  if (!std::has_single_bit(block_size) || block_size < kMinBlockSize || block_size > kMaxBlockSize) {
    return fail(ErrorCode::invalid_argument, fmt::format("block size {} is not a power of two from {} to {}",
                                                         block_size, kMinBlockSize, kMaxBlockSize));
  }
  if (!std::has_single_bit(node_size) || node_size < std::max(kMinNodeSize, block_size) || node_size > kMaxNodeSize) {
    return fail(ErrorCode::invalid_argument, fmt::format("node size {} is not a power of two from {} to {}", node_size,
                                                         std::max(kMinNodeSize, block_size), kMaxNodeSize));
  }
  return {};
}

}  // namespace

Result<Layout> Layout::plan(std::uint64_t volume_bytes, std::uint32_t block_size, std::uint32_t node_size) {
  TRY(check_sizes(block_size, node_size));
  if (volume_bytes < kMinVolumeBytes) {
    return fail(ErrorCode::device_too_small, fmt::format("{} bytes are too few for a volume, which needs {} MiB",
                                                         volume_bytes, kMinVolumeBytes >> 20));
  }
  Layout layout;
  layout.block_size_ = block_size;
  layout.node_size_ = node_size;
  TRY(layout.set_size(volume_bytes));
  TRY(layout.place_parts());
  return layout;
}

Status Layout::set_size(std::uint64_t volume_bytes) {
  block_count_ = volume_bytes / block_size_;
  const std::uint64_t tail = block_count_ % group_blocks();
  const std::uint64_t reserved = kBitmapOffset / block_size_ + kBitmapBlocks;
  if (block_count_ > group_blocks() && tail < reserved) block_count_ -= tail;

  const std::uint64_t groups = (block_count_ + group_blocks() - 1) / group_blocks();
  const std::uint64_t most_groups = (group_blocks() - reserved) / kSuperblockSlots * group_table_entries_per_block();
  if (groups <= most_groups) return {};
  return fail(ErrorCode::invalid_argument,
              fmt::format("{} bytes are too many for blocks of {} bytes: choose a larger block size", volume_bytes,
                          block_size_));
}

Result<Layout> Layout::grown(std::uint64_t volume_bytes) const {
  if (volume_bytes / block_size_ < block_count_) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("the volume has {} bytes and cannot be made smaller", block_count_ * block_size_));
  }
  Layout layout = *this;
  TRY(layout.set_size(volume_bytes));
  if (layout.block_count_ <= block_count_) return *this;
  if (layout.group_table_blocks() == group_table_blocks()) {
    TRY(layout.check());
    return layout;
  }
  // Apart from each other where there is room for that.
  const BlockNumber gained{block_count_};
  const BlockNumber middle{block_count_ + (layout.block_count_ - block_count_) / 2};
  const std::uint64_t table = std::uint64_t{layout.group_table_blocks()} * kSuperblockSlots;
  for (BlockRun& copy : layout.group_table_) copy = {};
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    auto first = layout.find_room(table, copy == 0 ? gained : middle);
    if (!first) first = layout.find_room(table, gained);
    if (first) layout.place_group_table(copy, *first);
  }
  return layout;
}

void Layout::place_group_table(std::size_t copy, BlockNumber first) noexcept {
  group_table_[copy] = group_table_at(first);
}

Layout Layout::of(const Superblock& superblock) noexcept {
  Layout layout;
  layout.block_size_ = superblock.block_size;
  layout.node_size_ = superblock.node_size;
  layout.block_count_ = superblock.block_count;
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    layout.group_table_[copy] = layout.group_table_at(BlockNumber{superblock.group_table_first[copy]});
  }
  layout.log_ = BlockRun{BlockNumber{superblock.log_first}, superblock.log_blocks};
  return layout;
}

void Layout::describe_in(Superblock& superblock) const noexcept {
  superblock.block_size = block_size_;
  superblock.node_size = node_size_;
  superblock.block_count = block_count_;
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    superblock.group_table_first[copy] = group_table_[copy].first.value();
  }
  superblock.group_table_blocks = group_table_blocks();
  superblock.log_first = log_.first.value();
  superblock.log_blocks = log_.count;
}

Status Layout::place_parts() {
  const auto no_room = [this] {
    return fail(
        ErrorCode::device_too_small,
        fmt::format("no room for the group table and the log in {} blocks of {} bytes", block_count_, block_size_));
  };
  const auto place = [this](std::uint64_t count, std::uint64_t hint) {
    auto first = find_room(count, BlockNumber{hint});
    return first ? first : find_room(count, BlockNumber{0});
  };
  const std::uint64_t table = std::uint64_t{group_table_blocks()} * kSuperblockSlots;
  const auto first_table = place(table, 0);
  if (!first_table) return no_room();
  group_table_[0] = group_table_at(*first_table);

  const std::uint64_t volume_bytes = block_count_ * block_size_;
  const std::uint64_t group_bytes = std::uint64_t{group_blocks()} * block_size_;
  const std::uint64_t log_bytes =
      std::min(std::clamp(volume_bytes / 64, kMinLogBytes, kMaxPlannedLogBytes), group_bytes / 2);
  const std::uint64_t log_blocks = log_bytes / block_size_;
  const auto log_first = place(log_blocks, (kSecondHead + kHeadBytes) / block_size_);
  if (!log_first) return no_room();
  log_ = BlockRun{*log_first, log_blocks};

  const std::uint64_t middle = group_count() == 1 ? block_count_ / 2 : group_first(group_count() / 2).value();
  const auto second_table = place(table, middle);
  if (!second_table) return no_room();
  group_table_[1] = group_table_at(*second_table);
  return check();
}

// The first `count` blocks not before `from` that lie in one group behind its bitmap blocks and are no part's that has
// been placed.
std::optional<BlockNumber> Layout::find_room(std::uint64_t count, BlockNumber from) const noexcept {
  BlockRun candidate{from, count};
  while (inside(candidate, block_count_)) {
    const std::uint32_t group = group_of(candidate.first);
    const BlockNumber group_end = group_first(group) + blocks_in_group(group);
    candidate.first = std::max(candidate.first, bitmap_run(group).end());
    if (candidate.end() > group_end) {
      candidate.first = group_end;
      continue;
    }
    const auto parts = single_parts();
    const auto hit =
        std::find_if(parts.begin(), parts.end(), [&](const BlockRun& part) { return overlap(part, candidate); });
    if (hit == parts.end()) return candidate.first;
    candidate.first = hit->end();
  }
  return std::nullopt;
}

std::uint32_t Layout::group_count() const noexcept {
  return static_cast<std::uint32_t>((block_count_ + group_blocks() - 1) / group_blocks());
}

std::uint32_t Layout::blocks_in_group(std::uint32_t group) const noexcept {
  const std::uint64_t left = block_count_ - group_first(group).value();
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(left, group_blocks()));
}

std::uint32_t Layout::group_of(BlockNumber block) const noexcept {
  return static_cast<std::uint32_t>(block.value() / group_blocks());
}

BlockNumber Layout::group_first(std::uint32_t group) const noexcept {
  return BlockNumber{std::uint64_t{group} * group_blocks()};
}

BlockNumber Layout::bitmap_block(std::uint32_t group, std::size_t slot, std::size_t copy) const noexcept {
  const std::uint32_t home = copy == 0 ? group : (group + 1 == group_count() ? 0 : group + 1);
  return bitmap_run(home).first + copy * kSuperblockSlots + slot;
}

std::uint32_t Layout::group_table_entries_per_block() const noexcept {
  return (block_size_ - static_cast<std::uint32_t>(sizeof(GroupTableHeader))) /
         static_cast<std::uint32_t>(sizeof(GroupEntry));
}

std::uint32_t Layout::group_table_blocks() const noexcept {
  const std::uint32_t per_block = group_table_entries_per_block();
  return group_count() / per_block + (group_count() % per_block == 0 ? 0 : 1);
}

BlockNumber Layout::group_table_block(std::uint32_t index, std::size_t slot, std::size_t copy) const noexcept {
  return group_table_[copy].first + slot * group_table_blocks() + index;
}

BlockRun Layout::group_table_at(BlockNumber first) const noexcept {
  // A table not placed yet lies nowhere.
  if (first == BlockNumber{0}) return {};
  return BlockRun{first, std::uint64_t{group_table_blocks()} * kSuperblockSlots};
}

BlockRun Layout::bitmap_run(std::uint32_t group) const noexcept {
  return BlockRun{group_first(group) + kBitmapOffset / block_size_, kBitmapBlocks};
}

std::array<BlockRun, Layout::kSingleParts> Layout::single_parts() const noexcept {
  const std::uint64_t head_blocks = kHeadBytes / block_size_;
  return {BlockRun{BlockNumber{0}, head_blocks}, BlockRun{BlockNumber{kSecondHead / block_size_}, head_blocks},
          group_table_[0], group_table_[1], log_};
}

bool Layout::touches_fixed(BlockRun run) const noexcept {
  const auto parts = single_parts();
  if (std::any_of(parts.begin(), parts.end(), [&](const BlockRun& part) { return overlap(part, run); })) return true;
  if (run.count == 0) return false;
  // A run that meets a bitmap either begins before it in its first group or reaches a later group's.
  const std::uint32_t first = group_of(run.first);
  const std::uint32_t last = group_of(run.end() - 1);
  return overlap(bitmap_run(first), run) || (last != first && overlap(bitmap_run(last), run)) || last - first > 1;
}

Status Layout::check() const {
  const auto corrupt = [](std::string_view what) { return fail(ErrorCode::corrupt_structure, std::string(what)); };
  const std::uint64_t tail = block_count_ % group_blocks();
  if (tail != 0 && tail < kBitmapOffset / block_size_ + kBitmapBlocks) {
    return corrupt("the last block group is too short for its bitmaps");
  }
  if (group_table_[0].count == 0 || group_table_[1].count == 0 || log_.count == 0) {
    return corrupt("no group table or no log");
  }
  const auto parts = single_parts();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!inside(parts[i], block_count_)) return corrupt("a fixed part reaches past the volume");
    const std::uint32_t group = group_of(parts[i].first);
    if (group_of(parts[i].end() - 1) != group) return corrupt("a fixed part crosses a block group's end");
    if (overlap(parts[i], bitmap_run(group))) return corrupt("a fixed part overlaps a bitmap");
    for (std::size_t j = 0; j < i; ++j) {
      if (overlap(parts[i], parts[j])) return corrupt("two fixed parts overlap");
    }
  }
  return {};
}

std::vector<BlockRun> Layout::fixed_runs(std::uint32_t group) const {
  const BlockNumber begin = group_first(group);
  const BlockNumber end = begin + blocks_in_group(group);
  std::vector<BlockRun> runs{bitmap_run(group)};
  for (const BlockRun& part : single_parts()) {
    if (part.count != 0 && part.first >= begin && part.first < end) runs.push_back(part);  // a part lies in one group
  }
  std::sort(runs.begin(), runs.end(), [](const BlockRun& a, const BlockRun& b) { return a.first < b.first; });
  return runs;
}

std::uint64_t Layout::fixed_blocks() const {
  std::uint64_t blocks = std::uint64_t{group_count()} * kBitmapBlocks;
  for (const BlockRun& part : single_parts()) blocks += part.count;
  return blocks;
}

std::uint32_t Layout::initial_free_blocks(std::uint32_t group) const noexcept {
  const BlockRun whole{group_first(group), blocks_in_group(group)};
  std::uint64_t used = kBitmapBlocks;
  for (const BlockRun& part : single_parts()) {
    if (overlap(part, whole)) used += part.count;
  }
  return static_cast<std::uint32_t>(whole.count - used);
}

std::uint32_t Layout::initial_bitmap(std::uint32_t group, std::span<std::byte> bitmap) const {
  std::fill(bitmap.begin(), bitmap.end(), std::byte{0});
  const auto set = [&](std::uint64_t first, std::uint64_t count) {
    for (; count > 0 && first % 8 != 0; ++first, --count) bitmap[first / 8] |= std::byte{1} << (first % 8);
    std::memset(bitmap.data() + first / 8, 0xff, count / 8);
    first += count / 8 * 8;
    for (count %= 8; count > 0; ++first, --count) bitmap[first / 8] |= std::byte{1} << (first % 8);
  };
  const std::uint32_t blocks = blocks_in_group(group);
  for (const BlockRun& run : fixed_runs(group)) set(run.first - group_first(group), run.count);
  set(blocks, group_blocks() - blocks);
  return initial_free_blocks(group);
}

void seal_group_table_block(std::span<std::byte> block) noexcept {
  auto& header = *reinterpret_cast<GroupTableHeader*>(block.data());
  header.crc = crc32c_except(block, kTableCrcOffset);
}

Status validate_group_table_block(std::span<const std::byte> block, const std::uint8_t (&uuid)[16], std::uint32_t index,
                                  Generation not_above) {
  if (block.size() < kMinBlockSize) return fail(ErrorCode::invalid_argument, "block size out of range");
  const auto& header = *reinterpret_cast<const GroupTableHeader*>(block.data());
  if (header.magic != kGroupTableMagic) return fail(ErrorCode::bad_checksum, "not a group table block");
  if (header.crc != crc32c_except(block, kTableCrcOffset)) {
    return fail(ErrorCode::bad_checksum, fmt::format("group table block {}: checksum mismatch", index));
  }
  if (std::memcmp(header.uuid, uuid, sizeof uuid) != 0 || header.index != index) {
    return fail(ErrorCode::misdirected_block, fmt::format("another group table block in place of block {}", index));
  }
  if (header.generation == 0 || header.generation > not_above.value()) {
    return fail(ErrorCode::stale_block, fmt::format("group table block {} of another generation", index));
  }
  if (header.count == 0 || header.count > (block.size() - sizeof(GroupTableHeader)) / sizeof(GroupEntry)) {
    return fail(ErrorCode::corrupt_structure, fmt::format("group table block {}: entries out of range", index));
  }
  return {};
}

}  // namespace ashlar::format
