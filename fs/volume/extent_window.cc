#include "fs/volume/extent_window.h"

#include <absl/container/inlined_vector.h>
#include <fmt/core.h>

#include <algorithm>

#include "fs/volume/inode_item.h"

namespace ashlar::volume {
namespace {

format::Key extent_key(InodeNumber inode, std::uint64_t block) noexcept {
  return {inode, format::ItemKind::extent, block};
}

bool same_item(const MappedExtent& a, const MappedExtent& b) noexcept {
  return a.file_block == b.file_block && a.physical == b.physical && a.count == b.count && a.flags == b.flags &&
         a.checksums_at == b.checksums_at;
}

// The part [first, end) of an extent, which lies within it.
MappedExtent part_of(const MappedExtent& extent, std::uint64_t first, std::uint64_t end) noexcept {
  MappedExtent part = extent;
  const std::uint64_t skipped = first - extent.file_block;
  part.file_block = first;
  part.physical = extent.physical + skipped;
  part.count = static_cast<std::uint32_t>(end - first);
  if (extent.checksummed()) part.checksums_at += static_cast<std::size_t>(skipped);
  return part;
}

}  // namespace

Status ExtentWindow::append(const format::Key& key, std::span<const std::byte> value) {
  const format::Layout& layout = volume_.store->layout();
  const auto extent = TRY(format::parse_extent(key, value, layout.block_count()));
  const auto corrupt = [&](const char* what) {
    return fail(ErrorCode::corrupt_structure,
                fmt::format("inode {}, file block {}: the extent {}", inode_.value(), key.offset, what));
  };
  if (extent.end() > kMaxFileSize / volume_.block_size + 1) return corrupt("reaches past the largest file");
  if (!loaded_.empty() && extent.file_block < loaded_.back().end()) return corrupt("overlaps the one before");
  if (layout.touches_fixed({extent.physical, extent.count})) return corrupt("lies in the volume's fixed parts");
  loaded_.push_back({extent.file_block, extent.physical, extent.count, extent.flags, extent.birth, checksums_.size()});
  checksums_.insert(checksums_.end(), extent.checksums.begin(), extent.checksums.end());
  return {};
}

Status ExtentWindow::adopt(const format::Key& key, std::span<const std::byte> value) {
  TRY(append(key, value));
  extents_ = loaded_;
  return {};
}

Status ExtentWindow::load(blockio::IoQueue& io, std::uint64_t first, std::uint64_t end, std::size_t max_extents) {
  Status parsed;
  std::size_t left = max_extents;
  TRY(volume_.store->scan_from_floor(io, extent_key(inode_, 0), extent_key(inode_, first),
                                     extent_key(inode_, std::max(first, end)),
                                     [&](const format::Key& key, std::span<const std::byte> item) {
                                       if (key.offset > first && left-- == 0) {
                                         truncated_ = true;
                                         loaded_end_ = key.offset;
                                         return false;
                                       }
                                       parsed = append(key, item);
                                       return parsed.has_value() && loaded_.back().end() <= end;
                                     }));
  if (!parsed) return parsed;
  extents_ = loaded_;
  return {};
}

const MappedExtent* ExtentWindow::find(std::uint64_t block) const noexcept {
  const auto after = std::upper_bound(extents_.begin(), extents_.end(), block,
                                      [](std::uint64_t at, const MappedExtent& e) { return at < e.file_block; });
  if (after == extents_.begin()) return nullptr;
  const MappedExtent& candidate = *std::prev(after);
  return block < candidate.end() ? &candidate : nullptr;
}

BlockNumber ExtentWindow::goal_for(std::uint64_t block) const noexcept {
  const MappedExtent* nearest = nullptr;
  for (const MappedExtent& extent : extents_) {
    if (extent.file_block < block || nearest == nullptr) nearest = &extent;
  }
  if (nearest == nullptr) return BlockNumber{0};
  return nearest->physical_of(std::clamp(block, nearest->file_block, nearest->end()));
}

void ExtentWindow::remove(std::uint64_t first, std::uint64_t end, Fate fate) {
  absl::InlinedVector<MappedExtent, kFewExtents> kept;
  kept.reserve(extents_.size() + 1);
  for (const MappedExtent& extent : extents_) {
    const std::uint64_t from = std::max(first, extent.file_block);
    const std::uint64_t to = std::min(end, extent.end());
    if (from >= to) {
      kept.push_back(extent);
      continue;
    }
    if (extent.file_block < from) kept.push_back(part_of(extent, extent.file_block, from));
    if (to < extent.end()) kept.push_back(part_of(extent, to, extent.end()));
    if (fate == Fate::free_blocks) freed_.push_back({extent.physical_of(from), to - from});
  }
  extents_ = std::move(kept);
}

void ExtentWindow::insert(std::uint64_t file_block, BlockRun run, std::uint8_t flags,
                          std::span<const format::le32> checksums) {
  const std::uint64_t most = flags == 0 ? volume_.max_checksummed_blocks : format::kMaxPlainExtentBlocks;
  while (run.count != 0) {
    const auto count = static_cast<std::uint32_t>(std::min(run.count, most));
    const MappedExtent extent{file_block, run.first, count, flags, volume_.generation, checksums_.size()};
    if (flags == 0) {
      checksums_.insert(checksums_.end(), checksums.begin(), checksums.begin() + count);
      checksums = checksums.subspan(count);
    }
    insert_one(extent);
    file_block += count;
    run = {run.first + count, run.count - count};
  }
}

void ExtentWindow::insert_one(MappedExtent extent) {
  auto after = std::upper_bound(extents_.begin(), extents_.end(), extent.file_block,
                                [](std::uint64_t at, const MappedExtent& e) { return at < e.file_block; });
  if (after != extents_.begin() && join(*std::prev(after), extent)) {
    after = std::prev(after);
  } else {
    after = extents_.insert(after, extent);
  }
  const auto next = std::next(after);
  if (next != extents_.end() && join(*after, *next)) extents_.erase(next);
}

bool ExtentWindow::join(MappedExtent& left, const MappedExtent& right) {
  if (left.flags != right.flags || left.end() != right.file_block) return false;
  if (left.physical + left.count != right.physical) return false;
  const std::uint32_t most = left.checksummed() ? volume_.max_checksummed_blocks : format::kMaxPlainExtentBlocks;
  if (left.count > most || right.count > most - left.count) return false;
  if (left.checksummed()) {
    const std::size_t at = checksums_.size();
    checksums_.resize(at + left.count + right.count);
    std::copy_n(&checksums_[left.checksums_at], left.count, &checksums_[at]);
    std::copy_n(&checksums_[right.checksums_at], right.count, &checksums_[at] + left.count);
    left.checksums_at = at;
  }
  left.count += right.count;
  return true;
}

void ExtentWindow::put(store::Transaction& transaction, const MappedExtent& extent) const {
  format::ExtentItem item{};
  item.physical = extent.physical.value();
  item.count = extent.count;
  item.flags = extent.flags;
  item.birth = extent.birth.value();
  std::span<const format::le32> checksums;
  if (extent.checksummed()) checksums = {&checksums_[extent.checksums_at], extent.count};
  transaction.put(extent_key(inode_, extent.file_block), std::as_bytes(std::span(&item, 1)), std::as_bytes(checksums));
}

void ExtentWindow::stage(store::Transaction& transaction) const {
  auto old = loaded_.begin();
  for (const MappedExtent& extent : extents_) {
    for (; old != loaded_.end() && old->file_block < extent.file_block; ++old) {
      transaction.erase(extent_key(inode_, old->file_block));
    }
    const bool there = old != loaded_.end() && old->file_block == extent.file_block;
    if (!there || !same_item(*old, extent)) put(transaction, extent);
    if (there) ++old;
  }
  for (; old != loaded_.end(); ++old) transaction.erase(extent_key(inode_, old->file_block));
  for (const BlockRun& run : freed_) transaction.free(run);
}

std::int64_t ExtentWindow::block_change() const noexcept {
  std::int64_t change = 0;
  for (const MappedExtent& extent : extents_) change += extent.count;
  for (const MappedExtent& extent : loaded_) change -= extent.count;
  return change;
}

}  // namespace ashlar::volume
