#include "fs/volume/extent_write.h"

#include <algorithm>
#include <cstring>

#include "blockio/io_op.h"
#include "fs/base/seeded_bug.h"
#include "fs/store/write_behind.h"
#include "fs/volume/block_reader.h"

namespace ashlar::volume {

// Whether preallocated blocks are among these, which data is written into where they lie.
static bool touches_unwritten(const ExtentWindow& window, std::uint64_t first, std::uint64_t end) noexcept {
  return std::any_of(window.extents().begin(), window.extents().end(), [&](const MappedExtent& extent) {
    return extent.unwritten() && extent.file_block < end && extent.end() > first;
  });
}

bool ExtentWrite::could_run_unlocked(const VolumeState& volume, const Inode& inode, const ExtentWindow& window,
                                     std::uint64_t offset, std::span<const std::byte> data) noexcept {
  if (offset % volume.block_size != 0 || data.size() % volume.block_size != 0) return false;
  if (volume.no_copy_on_write(inode.item)) return false;
  return !touches_unwritten(window, volume.block_of(offset), volume.block_of(offset + data.size()));
}

Status ExtentWrite::run(const ExtentWindow& window, std::uint64_t offset, std::span<const std::byte> data,
                        WriteOrigin origin) {
  TRY(prepare(window, offset, data, origin));
  return write();
}

Status ExtentWrite::prepare(const ExtentWindow& window, std::uint64_t offset, std::span<const std::byte> data,
                            WriteOrigin origin) {
  TRY(source_.assign(offset, data, volume_.block_size, volume_.device.geometry().memory_alignment));
  extends_ = no_copy_on_write_ && offset + data.size() > inode_.item.size;  // the others may run unlocked
  if (source_.head_is_partial() || source_.tail_is_partial()) {
    TRY(complete_partial_blocks(window, offset + data.size()));
  }
  if (!no_copy_on_write_) checksums_ = source_.checksums();
  if (origin == WriteOrigin::page_cache) gathered_ = TRY(gather(window));
  return gathered_ ? Status() : choose_targets(window);
}

bool ExtentWrite::has_target(Target::Kind kind) const noexcept {
  return std::any_of(targets_.begin(), targets_.end(), [kind](const Target& target) { return target.kind == kind; });
}

bool ExtentWrite::overwrites() const noexcept { return has_target(Target::Kind::overwritten); }

store::CommitKind ExtentWrite::commit_kind() const noexcept {
  if (has_target(Target::Kind::fresh)) return kind_;
  return has_target(Target::Kind::unwritten) ? store::CommitKind::filling : store::CommitKind::replacing;
}

Result<bool> ExtentWrite::gather(const ExtentWindow& window) {
  const std::uint64_t first = source_.first_block();
  const std::uint64_t blocks = source_.end_block() - first;
  if (no_copy_on_write_ || blocks * volume_.block_size > store::WriteBehind::kMaxWriteBytes) return false;
  if (touches_unwritten(window, first, source_.end_block())) return false;
  BlockSource::Segments pieces;
  source_.append_segments(first, blocks, pieces);
  store::Allocation allocation = TRY(volume_.store->write_behind(io_, {pieces.data(), pieces.size()}, blocks));
  if (allocation.run().count == 0) return false;
  targets_.push_back({first, allocation.run(), Target::Kind::fresh});
  allocations_.push_back(std::move(allocation));
  return true;
}

Status ExtentWrite::read_old_block(const ExtentWindow& window, std::uint64_t block, blockio::AlignedBuffer& buffer,
                                   bool& found) {
  const MappedExtent* const extent = window.find(block);
  found = extent != nullptr && !extent->unwritten();
  if (!found) return {};
  if (buffer.empty()) buffer = blockio::AlignedBuffer(volume_.block_size);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  TRY(read_file_blocks(volume_, io_, inode_.number(), window, block, block + 1, buffer.data()));
  // See clear_past_end().
  const std::uint64_t before = block * volume_.block_size;
  const std::uint64_t size = std::max(before, inode_.item.size.value());
  if (size - before < volume_.block_size) {
    const auto kept = static_cast<std::size_t>(size - before);
    std::memset(buffer.data() + kept, 0, volume_.block_size - kept);
  }
  return {};
}

Status ExtentWrite::complete_partial_blocks(const ExtentWindow& window, std::uint64_t data_end) {
  const std::uint64_t first = source_.first_block();
  const std::uint64_t last = source_.end_block() - 1;
  // Past the end of the file there is nothing to keep.
  const bool tail_matters = source_.tail_is_partial() && data_end < inode_.item.size;
  blockio::AlignedBuffer buffer;
  bool found = false;
  if (source_.head_is_partial()) {
    TRY(read_old_block(window, first, buffer, found));
    if (found) source_.fill_head(buffer.span());
    if (found && tail_matters && last == first) source_.fill_tail(buffer.span());
  }
  if (tail_matters && (last != first || !source_.head_is_partial())) {
    TRY(read_old_block(window, last, buffer, found));
    if (found) source_.fill_tail(buffer.span());
  }
  return {};
}

bool ExtentWrite::stays_in_place(const MappedExtent& extent) const noexcept {
  if (extent.unwritten()) return true;
  return no_copy_on_write_ && in_place_ == InPlace::without_copy_on_write && !extent.checksummed();
}

Status ExtentWrite::choose_targets(const ExtentWindow& window) {
  const std::uint64_t end = source_.end_block();
  std::uint64_t block = source_.first_block();
  std::uint64_t fresh_from = block;
  for (const MappedExtent& extent : window.extents()) {
    if (!stays_in_place(extent)) continue;
    const std::uint64_t from = std::max(block, extent.file_block);
    const std::uint64_t to = std::min(end, extent.end());
    if (from >= to) continue;
    TRY(allocate(window, fresh_from, from));
    const auto kind = extent.unwritten() ? Target::Kind::unwritten : Target::Kind::overwritten;
    targets_.push_back({from, {extent.physical_of(from), to - from}, kind});
    fresh_from = to;
  }
  return allocate(window, fresh_from, end);
}

Status ExtentWrite::allocate(const ExtentWindow& window, std::uint64_t first, std::uint64_t end) {
  if (first >= end) return {};
  AllocationStream& stream = inode_.allocation_stream;
  std::unique_lock<std::mutex> streaming;
  store::AllocationRequest request;
  if (end - first >= AllocationStream::kLeastBlocks) {
    streaming = std::unique_lock(stream.lock);
    request.goal = stream.goal_for(first, end - first);
  }
  if (request.goal == BlockNumber{0}) request.goal = window.goal_for(first);
  while (first < end) {
    request.maximum = end - first;
    store::Allocation allocation = TRY(volume_.store->allocate(io_, request, kind_));
    const BlockRun run = allocation.run();
    if (streaming) stream.note(first, run);
    targets_.push_back({first, run, Target::Kind::fresh});
    allocations_.push_back(std::move(allocation));
    first += run.count;
    request.goal = run.end();
  }
  return {};
}

Status ExtentWrite::write() {
  if (gathered_) return {};
  BlockSource::Segments segments;
  segments.reserve(targets_.size() * BlockSource::kMaxParts);  // never reallocated: operations point into it
  absl::InlinedVector<blockio::IoOp, kFewTargets> writes;
  writes.reserve(targets_.size());
  absl::InlinedVector<blockio::IoOp*, kFewTargets> ops;
  ops.reserve(targets_.size());
  for (const Target& target : targets_) {
    const std::size_t begin = segments.size();
    source_.append_segments(target.file_block, target.run.count, segments);
    const std::span<const iovec> mine(segments.data() + begin, segments.size() - begin);
    const std::uint64_t offset = volume_.store->layout().byte_offset(target.run.first);
    if (mine.size() == 1) {
      const auto* const memory = static_cast<const std::byte*>(mine[0].iov_base);
      writes.push_back(blockio::IoOp::write(offset, {memory, mine[0].iov_len}));
    } else {
      writes.push_back(blockio::IoOp::writev(offset, mine));
    }
    ops.push_back(&writes.back());
  }
  volume_.store->data_epoch().change();
  Status written = io_.run({ops.data(), ops.size()});
  volume_.store->data_epoch().change();
  TRY(std::move(written));
  if (no_copy_on_write_) volume_.in_place_writes.note();
  // No checksum tells recovery whether unchecksummed data reached the medium, so it must be there before a record names
  // it or shows it.
  const bool named = extends_ || has_target(Target::Kind::fresh) || has_target(Target::Kind::unwritten);
  if (!no_copy_on_write_ || !named || has_bug(SeededBug::data_flush_left_out)) return {};
  return volume_.in_place_writes.flush(*volume_.store, io_);
}

std::span<const format::le32> ExtentWrite::checksums_of(const Target& target) const noexcept {
  return {&checksums_[static_cast<std::size_t>(target.file_block - source_.first_block())],
          static_cast<std::size_t>(target.run.count)};
}

void ExtentWrite::edit(ExtentWindow& window) const {
  const std::uint8_t flags = no_copy_on_write_ ? format::kExtentNoChecksum : std::uint8_t{0};
  for (const Target& target : targets_) {
    if (target.kind == Target::Kind::overwritten) continue;
    const bool fresh = target.kind == Target::Kind::fresh;
    window.remove(target.file_block, target.file_block + target.run.count,
                  fresh ? ExtentWindow::Fate::free_blocks : ExtentWindow::Fate::keep_blocks);
    std::span<const format::le32> sums;
    if (flags == 0) {
      sums = checksums_of(target);
    }
    window.insert(target.file_block, target.run, flags, sums);
  }
}

void ExtentWrite::stage(store::Transaction& transaction) {
  for (store::Allocation& allocation : allocations_) transaction.adopt(std::move(allocation));
  allocations_.clear();
  if (no_copy_on_write_) return;
  for (const Target& target : targets_) {
    transaction.witness(target.run, checksums_of(target));
  }
}

}  // namespace ashlar::volume
