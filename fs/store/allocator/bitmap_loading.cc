// Bringing groups' bitmaps into memory and dropping them again.
#include <fmt/core.h>

#include <algorithm>

#include "blockio/aligned_buffer.h"
#include "fs/base/log.h"
#include "fs/format/checksum.h"
#include "fs/store/allocator/allocator_state.h"

namespace ashlar::store {
namespace {

// Memory for bitmaps that are not needed just now, and the least number of groups whatever their size.
constexpr std::size_t kMaxIdleBitmapBytes = 16U << 20;
constexpr std::size_t kMinLoadedGroups = 16;
// Groups that one load looks at to find some to drop.
constexpr std::size_t kMaxEvictionSteps = 64;
// A read bitmap may be out of date when another thread loaded, changed and dropped it meanwhile; that many times it
// may.
constexpr int kMaxLoadAttempts = 100;

}  // namespace

Status Allocator::State::load(Lock& lock, blockio::IoQueue& io, std::uint32_t group) {
  for (int attempt = 0; attempt < kMaxLoadAttempts; ++attempt) {
    if (groups[group].bitmaps) {
      groups[group].bitmaps->touched = true;
      return {};
    }
    const GroupRecord record = table[group];
    lock.unlock();
    Result<ReadBitmap> read = read_bitmap(io, group, record);
    lock.lock();
    if (groups[group].bitmaps) continue;
    if (record != table[group]) continue;
    if (!read) return fail(std::move(read).error());
    evict();
    install(group, *read);
  }
  return fail(ErrorCode::try_again, "block bitmap changes faster than it can be read");
}

Status Allocator::State::load_all(Lock& lock, blockio::IoQueue& io, BlockRun run) {
  if (!in_bounds(run)) return fail(ErrorCode::corrupt_structure, "blocks past the end of the volume");
  // This also keeps runs to two groups, as every group has its bitmap blocks.
  if (layout().touches_fixed(run)) return fail(ErrorCode::corrupt_structure, "blocks of a fixed part of the volume");
  const std::uint32_t first = layout().group_of(run.first);
  const std::uint32_t last = layout().group_of(run.end() - 1);
  for (std::uint32_t group = first; group <= last; ++group) {
    Status loaded_it = load(lock, io, group);
    if (!loaded_it) {
      for (std::uint32_t pinned = first; pinned < group; ++pinned) --groups[pinned].bitmaps->pins;
      return loaded_it;
    }
    ++groups[group].bitmaps->pins;
  }
  return {};
}

void Allocator::State::unpin(BlockRun run) {
  for_each_piece(run, [this](Piece piece) { --groups[piece.group].bitmaps->pins; });
}

Result<Allocator::State::ReadBitmap> Allocator::State::read_bitmap(blockio::IoQueue& io, std::uint32_t group,
                                                                   const GroupRecord& record) const {
  const format::Layout& layout = this->layout();
  ReadBitmap result;
  result.block = blockio::AlignedBuffer(layout.block_size());
  if (result.block.empty()) return fail(ErrorCode::out_of_memory);
  if (!record.initialised) {
    layout.initial_bitmap(group, result.block.span());
    TRY(check_bitmap(group, record, result.block.span()));
    return result;
  }
  Status outcome;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    const BlockNumber at = layout.bitmap_block(group, record.slot, copy);
    blockio::IoOp op = blockio::IoOp::read(layout.byte_offset(at), result.block.span());
    outcome = io.run(op);
    if (outcome && format::crc32c(result.block.span()) != record.bitmap_crc) outcome = fail(ErrorCode::bad_checksum);
    if (outcome) {
      TRY(check_bitmap(group, record, result.block.span()));
      return result;
    }
    log(LogLevel::warning, "bitmap of group {}: copy {} at block {}: {}", group, copy, at.value(),
        outcome.error().message());
    result.bad_copy = true;
  }
  return fail(std::move(outcome).error().with_context(fmt::format("bitmap of group {}: no good copy", group)));
}

// A bitmap with the right checksum may still have been made to hurt.
Status Allocator::State::check_bitmap(std::uint32_t group, const GroupRecord& record,
                                      std::span<const std::byte> block) const {
  const format::Layout& layout = this->layout();
  const auto corrupt = [group](const char* what) {
    return fail(ErrorCode::corrupt_structure, fmt::format("bitmap of group {}: {}", group, what));
  };
  const Bitmap bits(block);
  if (bits.count_clear() != record.free_blocks) return corrupt("not as many free blocks as the group table says");
  const std::uint32_t blocks = layout.blocks_in_group(group);
  if (!bits.all_set(blocks, bits.size() - blocks)) return corrupt("free blocks past the end of the volume");
  const BlockNumber first = layout.group_first(group);
  for (const BlockRun& run : layout.fixed_runs(group)) {
    if (!bits.all_set(static_cast<std::uint32_t>(run.first - first), static_cast<std::uint32_t>(run.count))) {
      return corrupt("a fixed block is free");
    }
  }
  return {};
}

void Allocator::State::install(std::uint32_t group, const ReadBitmap& read) {
  const Bitmap bits(read.block.span());
  groups[group].bitmaps = std::make_unique<Bitmaps>(Bitmaps{.committed = bits, .busy = bits, .frozen = std::nullopt});
  loaded.push_back(group);
  if (!read.bad_copy || read_only) return;
  // The next checkpoint writes both copies anew, into the other slot: nobody can be writing there now, as could be
  // here.
  mark_changed(group);
  ++healed;
}

bool Allocator::State::evictable(const Group& group) const noexcept {
  return group.bitmaps->pins == 0 && !group.changed && !group.frozen && !group.bitmaps->frozen &&
         group.free_now == group.free_committed;
}

// Makes room for one more, as far as what is loaded can be dropped.
void Allocator::State::evict() {
  const std::size_t limit = std::max(kMinLoadedGroups, kMaxIdleBitmapBytes / (2 * layout().block_size()));
  for (std::size_t step = 0; step < kMaxEvictionSteps && loaded.size() >= limit; ++step) {
    if (hand >= loaded.size()) hand = 0;
    Group& group = groups[loaded[hand]];
    if (evictable(group) && !std::exchange(group.bitmaps->touched, false)) {
      group.bitmaps.reset();
      loaded[hand] = loaded.back();
      loaded.pop_back();
    } else {
      ++hand;
    }
  }
}

}  // namespace ashlar::store
