// Preallocating, punching holes, zeroing ranges.
#include <linux/falloc.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/volume/extent_write.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"
#include "fs/volume/xattrs.h"

namespace ashlar::volume {
namespace {

// Runs that one transaction takes for preallocation, at most.
constexpr std::size_t kMaxRunsPerTransaction = 256;

// Works through the range a part at a time, each one transaction; ranges of few extents are one part.
class RangeChange {
 public:
  struct What {
    bool empties = false;  // contents become zeros
    bool fills = false;    // holes become unwritten blocks
    bool keeps_size = false;
    bool clears_privileges = false;
  };

  RangeChange(VolumeState& volume, Context& context, Inode& inode, const What& what, std::uint64_t offset,
              std::uint64_t length)
      : volume_(volume),
        context_(context),
        io_(context.io),
        inode_(inode),
        what_(what),
        offset_(offset),
        end_(offset + length) {}

  Status run();

 private:
  // Changes blocks from `first` on, as far as one transaction may go; returns where it stopped.
  Result<std::uint64_t> change_part(std::uint64_t first);
  Status zero_bytes(ExtentWindow& window, std::uint64_t from, std::uint64_t to, std::optional<ExtentWrite>& write);
  Status zero_edges(ExtentWindow& window, std::uint64_t first, std::uint64_t stop);
  Result<std::uint64_t> fill_holes(ExtentWindow& window, std::uint64_t first, std::uint64_t stop);
  // A hole in a file without extents.
  Status punch_inline();
  [[nodiscard]] store::CommitKind kind(const ExtentWindow& window) const noexcept;
  [[nodiscard]] std::uint64_t last() const noexcept { return volume_.block_after(end_); }

  VolumeState& volume_;
  const Context& context_;
  blockio::IoQueue& io_;
  Inode& inode_;
  const What what_;
  const std::uint64_t offset_;
  const std::uint64_t end_;
  std::array<std::optional<ExtentWrite>, 2> edges_;  // of the part at hand
  std::vector<store::Allocation> allocations_;       // likewise
};

Status RangeChange::run() {
  const std::lock_guard lock(inode_.lock);
  if (is_immutable(inode_.item) || (what_.empties && is_protected(inode_.item))) return fail(ErrorCode::not_permitted);
  TRY(finish_truncation(volume_, io_, inode_));
  if (may_be_inline(volume_, inode_.item)) {
    const bool stays_inline = what_.keeps_size || end_ <= volume_.max_inline;
    if (what_.empties && !what_.fills && stays_inline) return punch_inline();
    TRY(convert_inline(volume_, io_, inode_));
  }
  if (!what_.keeps_size && end_ > inode_.item.size) TRY(clear_past_end(volume_, io_, inode_));
  for (std::uint64_t block = volume_.block_of(offset_); block < last();) block = TRY(change_part(block));
  return {};
}

Status RangeChange::punch_inline() {
  store::ItemValue contents;
  TRY(get_inline_data(volume_, io_, inode_, contents));
  StagedInode staged(inode_);
  store::Transaction transaction;
  const bool grows = !what_.keeps_size && end_ > staged.next.size;
  if (grows) staged.next.size = end_;
  if (!contents.empty() && (grows || offset_ < contents.size())) {
    const std::size_t end = std::min<std::uint64_t>(end_, contents.size());
    const std::size_t begin = std::min<std::uint64_t>(offset_, end);
    std::fill(contents.begin() + static_cast<std::ptrdiff_t>(begin),
              contents.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
    if (grows) contents.resize(static_cast<std::size_t>(end_));
    transaction.put({inode_.number(), format::ItemKind::inline_data, 0}, contents);
  }
  if (!context_.brings_times) contents_changed(staged.next, context_.now);
  if (what_.clears_privileges) clear_suid_sgid(staged.next, context_);
  TRY(drop_capabilities(volume_, io_, staged, transaction));
  const bool more = grows && !contents.empty();
  return commit(volume_, io_, transaction, {&staged}, more ? store::CommitKind::ordinary : store::CommitKind::freeing);
}

store::CommitKind RangeChange::kind(const ExtentWindow& window) const noexcept {
  // All of it was there already.
  if (what_.fills && !what_.empties && window.block_change() == 0) return store::CommitKind::replacing;
  if (what_.fills) return store::CommitKind::ordinary;
  // A hole in the middle of an extent: many of them must not take what deleting needs.
  if (window.has_more_items()) return store::CommitKind::filling;
  const bool zeroes = edges_[0] || edges_[1];
  return zeroes && window.block_change() >= 0 ? store::CommitKind::zeroing : store::CommitKind::freeing;
}

// Writes zeros to [from, to), part of one block, if there is anything to overwrite.
Status RangeChange::zero_bytes(ExtentWindow& window, std::uint64_t from, std::uint64_t to,
                               std::optional<ExtentWrite>& write) {
  const MappedExtent* const extent = window.find(volume_.block_of(from));
  if (from >= to || extent == nullptr || extent->unwritten()) return {};
  const std::vector<std::byte> zeros(static_cast<std::size_t>(to - from));
  write.emplace(volume_, io_, inode_, what_.fills ? store::CommitKind::ordinary : store::CommitKind::zeroing,
                ExtentWrite::InPlace::never);
  TRY(write->run(window, from, zeros));
  write->edit(window);
  return {};
}

Status RangeChange::zero_edges(ExtentWindow& window, std::uint64_t first, std::uint64_t stop) {
  const std::uint64_t block_size = volume_.block_size;
  const std::uint64_t head_block = volume_.block_of(offset_);
  const std::uint64_t tail_block = volume_.block_of(end_);
  const bool head = first == head_block && offset_ % block_size != 0;
  const bool tail = stop == last() && end_ % block_size != 0;
  if (head) TRY(zero_bytes(window, offset_, std::min(end_, (head_block + 1) * block_size), edges_[0]));
  // In the head's block, the head's zeros already reach as far.
  const bool same = offset_ % block_size != 0 && head_block == tail_block;
  if (tail && !same) TRY(zero_bytes(window, tail_block * block_size, end_, edges_[1]));
  return {};
}

Result<std::uint64_t> RangeChange::fill_holes(ExtentWindow& window, std::uint64_t first, std::uint64_t stop) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> holes;
  std::uint64_t from = first;
  for (const MappedExtent& extent : window.extents()) {
    if (extent.end() <= first || extent.file_block >= stop) continue;
    if (from < extent.file_block) holes.emplace_back(from, extent.file_block);
    from = extent.end();
  }
  if (from < stop) holes.emplace_back(from, stop);
  for (const auto& [hole_first, hole_end] : holes) {
    store::AllocationRequest request;
    request.goal = window.goal_for(hole_first);
    for (std::uint64_t block = hole_first; block < hole_end;) {
      if (allocations_.size() == kMaxRunsPerTransaction) return block;
      request.maximum = std::min<std::uint64_t>(hole_end - block, format::kMaxPlainExtentBlocks);
      store::Allocation allocation = TRY(volume_.store->allocate(io_, request));
      const BlockRun run = allocation.run();
      allocations_.push_back(std::move(allocation));
      window.insert(block, run, format::kExtentUnwritten, {});
      block += run.count;
      request.goal = run.end();
    }
  }
  return stop;
}

Result<std::uint64_t> RangeChange::change_part(std::uint64_t first) {
  ExtentWindow window(volume_, inode_.number());
  TRY(window.load(io_, first, last(), volume_.max_step_items));
  std::uint64_t stop = window.truncated() ? std::min(last(), window.loaded_end()) : last();
  for (auto& edge : edges_) edge.reset();
  allocations_.clear();
  if (what_.empties) {
    TRY(zero_edges(window, first, stop));
    window.remove(std::max(first, volume_.block_after(offset_)), std::min(stop, volume_.block_of(end_)),
                  ExtentWindow::Fate::free_blocks);
  }
  if (what_.fills) stop = TRY(fill_holes(window, first, stop));

  StagedInode staged(inode_);
  store::Transaction transaction;
  // The file grows with the last part. Should one before it fail, what is there by then is preallocated past the end:
  // the caller is told that nothing happened, and the kernel keeps the size.
  const bool grows = !what_.keeps_size && stop == last() && end_ > staged.next.size;
  if (grows) staged.next.size = end_;
  if (!context_.brings_times) {
    (grows || what_.empties ? contents_changed : status_changed)(staged.next, context_.now);
  }
  if (what_.clears_privileges) clear_suid_sgid(staged.next, context_);
  if (what_.empties) TRY(drop_capabilities(volume_, io_, staged, transaction));
  count_blocks(staged.next, window);
  window.stage(transaction);
  for (auto& edge : edges_) {
    if (edge) edge->stage(transaction);
  }
  for (store::Allocation& allocation : allocations_) transaction.adopt(std::move(allocation));
  allocations_.clear();
  TRY(commit(volume_, io_, transaction, {&staged}, kind(window)));
  return stop;
}

Result<RangeChange::What> decode(int mode) {
  const bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case 0: return RangeChange::What{false, true, keeps_size, false};
    case FALLOC_FL_PUNCH_HOLE:
      if (!keeps_size) return fail(ErrorCode::not_supported);
      return RangeChange::What{true, false, true, false};
    case FALLOC_FL_ZERO_RANGE: return RangeChange::What{true, true, keeps_size, false};
    default: return fail(ErrorCode::not_supported);
  }
}

// Of a regular file, a range that lies in a file of the largest size.
Status change_range(VolumeState& volume, Context& context, InodeNumber number, const RangeChange::What& what,
                    std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return fail(ErrorCode::invalid_argument);
  if (offset > kMaxFileSize || length > kMaxFileSize - offset) return fail(ErrorCode::file_too_large);
  TRY(check_writable(volume));
  const InodeRef inode = TRY(acquire_regular(volume, context.io, number));
  // What cannot fit at all is refused before any of it is taken or zeroed.
  if (what.fills && length / volume.block_size > volume.store->space().total) {
    return fail(ErrorCode::no_space);
  }
  return with_space_retry(volume, context.io,
                          [&] { return RangeChange(volume, context, *inode, what, offset, length).run(); });
}

}  // namespace

Status Volume::make_hole(Context& context, InodeNumber number, std::uint64_t offset, std::uint64_t length,
                         bool clear_privileges) {
  return change_range(*state_, context, number, {true, false, false, clear_privileges}, offset, length);
}

Status Volume::allocate(Context& context, InodeNumber number, int mode, std::uint64_t offset, std::uint64_t length,
                        bool clear_privileges) {
  RangeChange::What what = TRY(decode(mode));
  what.clears_privileges = clear_privileges;
  return change_range(*state_, context, number, what, offset, length);
}

}  // namespace ashlar::volume
