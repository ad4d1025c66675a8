#include "fs/store/write_behind.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ashlar::store {
namespace {

constexpr std::size_t kSegmentBytes = 1U << 20;
constexpr std::size_t kMaxSegments = 4;
// What is reserved at once is a small part of a small volume.
constexpr std::uint64_t kVolumeShare = 1024;
constexpr std::uint64_t kMinSegmentBlocks = 8;
// Threads may take the room that another made, but not for ever.
constexpr int kMaxAttempts = 1000;

bool overlap(BlockRun a, BlockRun b) noexcept {
  return a.count != 0 && b.count != 0 && a.first < b.end() && b.first < a.end();
}

tl::unexpected<Error> failed_before() { return fail(ErrorCode::io_error, "an earlier write of file data failed"); }

}  // namespace

WriteBehind::WriteBehind(const format::Layout& layout, Allocator& allocator, DataEpoch& epoch, Allocate allocate)
    : block_size_(layout.block_size()),
      segment_blocks_(
          std::clamp<std::uint64_t>(layout.block_count() / kVolumeShare, kMinSegmentBlocks,
                                    std::max<std::uint64_t>(kMinSegmentBlocks, kSegmentBytes / block_size_))),
      allocator_(allocator),
      epoch_(epoch),
      allocate_(std::move(allocate)),
      layout_(layout) {}

Result<BlockRun> WriteBehind::write(blockio::IoQueue& io, std::span<const iovec> pieces, std::uint64_t blocks) {
  if (blocks == 0 || blocks > segment_blocks_) return BlockRun{};
  Lock lock(mutex_);
  TRY(make_room(lock, io, blocks));
  if (reserve_.count < blocks) return BlockRun{};
  const BlockRun run{reserve_.first, blocks};
  std::byte* to = open_.buffer.data() + open_.blocks * block_size_;
  for (const iovec& piece : pieces) {
    std::memcpy(to, piece.iov_base, piece.iov_len);
    to += piece.iov_len;
  }
  open_.blocks += blocks;
  reserve_ = {run.end(), reserve_.count - blocks};
  pending_blocks_.fetch_add(blocks, std::memory_order_release);
  return run;
}

// Afterwards the open segment has room for the blocks, if a run as long could be had.
Status WriteBehind::make_room(Lock& lock, blockio::IoQueue& io, std::uint64_t blocks) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (failed_) return failed_before();
    if (reserving_) {
      changed_.wait(lock);
      continue;
    }
    if (reserve_.count >= blocks && open_.blocks + blocks <= segment_blocks_) {
      if (!open_.buffer.empty()) return {};
      TRY(take_buffer(lock));
      continue;
    }
    if (open_.blocks != 0) {
      TRY(write_out(lock, io));
      continue;
    }
    if (reserve_.count >= blocks) {  // behind a segment that was just written
      open_.first = reserve_.first;
      TRY(take_buffer(lock));
      continue;
    }
    TRY(reserve(lock, io));
    if (reserve_.count < blocks) return {};
  }
  return fail(ErrorCode::try_again, "no room to gather writes");
}

Status WriteBehind::reserve(Lock& lock, blockio::IoQueue& io) {
  reserving_ = true;
  const BlockRun rest = std::exchange(reserve_, {});
  AllocationRequest request;
  request.goal = rest.count != 0 ? rest.first : open_.first;
  request.maximum = segment_blocks_;
  lock.unlock();
  if (rest.count != 0) allocator_.cancel(rest);
  Result<BlockRun> run = allocate_(io, request);
  lock.lock();
  reserving_ = false;
  changed_.notify_all();
  if (!run) return fail(std::move(run).error());
  reserve_ = *run;
  open_.first = run->first;
  return {};
}

Status WriteBehind::take_buffer(Lock& lock) {
  for (;;) {
    if (failed_) return failed_before();
    if (!open_.buffer.empty()) return {};
    if (!spare_.empty()) {
      open_.buffer = std::move(spare_.back());
      spare_.pop_back();
      return {};
    }
    if (buffers_ < kMaxSegments) {
      open_.buffer = blockio::AlignedBuffer(segment_blocks_ * block_size_);
      if (open_.buffer.empty()) return fail(ErrorCode::out_of_memory);
      ++buffers_;
      return {};
    }
    changed_.wait(lock);
  }
}

WriteBehind::InFlight::iterator WriteBehind::close_open() {
  in_flight_.push_back(std::exchange(open_, {}));
  const auto segment = std::prev(in_flight_.end());
  segment->number = next_number_++;
  open_.first = segment->run().end();
  epoch_.change();
  return segment;
}

blockio::IoOp WriteBehind::write_of(const Segment& segment) const {
  return blockio::IoOp::write(layout_.byte_offset(segment.first),
                              segment.buffer.span().first(segment.blocks * block_size_));
}

void WriteBehind::finish(InFlight::iterator segment, bool written) {
  changed_.notify_all();
  epoch_.change();
  if (!written) {
    failed_.store(true, std::memory_order_release);  // the segment stays: its blocks must not be given to anybody
    return;
  }
  for (const BlockRun& run : segment->cancelled) allocator_.cancel(run);
  spare_.push_back(std::move(segment->buffer));
  pending_blocks_.fetch_sub(segment->blocks, std::memory_order_release);
  in_flight_.erase(segment);
}

Status WriteBehind::write_out(Lock& lock, blockio::IoQueue& io) {
  const auto segment = close_open();
  blockio::IoOp op = write_of(*segment);
  lock.unlock();
  Status written = io.run(op);
  lock.lock();
  finish(segment, written.has_value());
  if (!written) return fail(std::move(written).error().with_context("writing file data"));
  return {};
}

// Until the segments up to that number are written.
Status WriteBehind::wait_for_segments(Lock& lock, std::uint64_t last) {
  while (!failed_ && !in_flight_.empty() && in_flight_.front().number <= last) changed_.wait(lock);
  if (failed_) return failed_before();
  return {};
}

Status WriteBehind::drain(blockio::IoQueue& io) {
  if (pending_blocks_.load(std::memory_order_acquire) == 0) return {};
  Lock lock(mutex_);
  const std::uint64_t last = open_.blocks != 0 ? next_number_ : next_number_ - 1;
  if (open_.blocks != 0) TRY(write_out(lock, io));
  return wait_for_segments(lock, last);
}

Result<std::optional<blockio::IoOp>> WriteBehind::begin_write() {
  if (pending_blocks_.load(std::memory_order_acquire) == 0) return std::nullopt;
  Lock lock(mutex_);
  const std::uint64_t others = next_number_ - 1;
  const bool any = open_.blocks != 0;
  if (any) handed_out_ = close_open();
  TRY(wait_for_segments(lock, others));
  if (!any) return std::nullopt;
  return write_of(*handed_out_);
}

void WriteBehind::end_write(const blockio::IoOp& write) {
  const Lock lock(mutex_);
  finish(handed_out_, write.done() && write.ok());
}

Status WriteBehind::drain(blockio::IoQueue& io, BlockRun run) {
  if (pending_blocks_.load(std::memory_order_acquire) == 0) return {};
  {
    const Lock lock(mutex_);
    if (find(run) == nullptr) return {};
  }
  return drain(io);
}

WriteBehind::Segment* WriteBehind::find(BlockRun run) {
  if (overlap(open_.run(), run)) return &open_;
  const auto found =
      std::find_if(in_flight_.begin(), in_flight_.end(), [run](const Segment& s) { return overlap(s.run(), run); });
  return found == in_flight_.end() ? nullptr : &*found;
}

void WriteBehind::cancel(BlockRun run) {
  {
    const Lock lock(mutex_);
    if (Segment* const segment = find(run)) return segment->cancelled.push_back(run);
  }
  allocator_.cancel(run);
}

bool WriteBehind::any_cancelled() const {
  return !open_.cancelled.empty() ||
         std::any_of(in_flight_.begin(), in_flight_.end(), [](const Segment& s) { return !s.cancelled.empty(); });
}

Result<bool> WriteBehind::give_back(blockio::IoQueue& io) {
  BlockRun rest;
  bool cancelled = false;
  {
    const Lock lock(mutex_);
    rest = std::exchange(reserve_, {});
    cancelled = any_cancelled();
  }
  if (rest.count != 0) allocator_.cancel(rest);
  if (cancelled) TRY(drain(io));
  return cancelled || rest.count != 0;
}

}  // namespace ashlar::store
