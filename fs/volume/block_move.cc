#include "fs/volume/block_move.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "blockio/io_op.h"
#include "fs/base/seeded_bug.h"
#include "fs/volume/block_reader.h"
#include "fs/volume/extent_window.h"
#include "fs/volume/file_contents.h"

namespace ashlar::volume {
namespace {

// Blocks of the file without a hole, all of one kind.
struct Stretch {
  std::uint64_t file_block = 0;
  std::uint64_t count = 0;
  std::uint8_t flags = 0;
  std::uint64_t at = 0;  // where in the target

  [[nodiscard]] bool written() const noexcept { return (flags & format::kExtentUnwritten) == 0; }
  friend bool operator==(const Stretch&, const Stretch&) noexcept = default;
};

// What is to be moved, as it lay when it was looked at.
struct MovedBlocks {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t blocks = 0;
  std::vector<Stretch> stretches;
  std::vector<BlockRun> places;
  std::vector<std::uint32_t> checksums;  // of every block; 0 where it has none

  [[nodiscard]] bool all_checked() const noexcept {
    return std::all_of(stretches.begin(), stretches.end(),
                       [](const Stretch& s) { return !s.written() || (s.flags & format::kExtentNoChecksum) == 0; });
  }
  friend bool operator==(const MovedBlocks&, const MovedBlocks&) noexcept = default;
};

// The blocks of [first, end), at most `most` of them and of the holes between.
MovedBlocks blocks_to_move(const ExtentWindow& window, std::uint64_t first, std::uint64_t end, std::uint64_t most) {
  MovedBlocks moved{end, end, 0, {}, {}, {}};
  if (window.truncated()) end = std::min(end, window.loaded_end());
  for (const MappedExtent& extent : window.extents()) {
    const std::uint64_t from = std::max(first, extent.file_block);
    if (moved.stretches.empty() && from < std::min(end, extent.end())) {
      moved.first = from;
      end = std::min(end, from + most);
      moved.end = end;
    }
    const std::uint64_t to = std::min(end, extent.end());
    if (from >= to) continue;
    const std::uint64_t count = to - from;
    moved.places.push_back({extent.physical_of(from), count});
    for (std::uint64_t block = from; block < to; ++block) {
      moved.checksums.push_back(extent.checksummed() ? window.checksum(extent, block) : 0);
    }
    Stretch* const last = moved.stretches.empty() ? nullptr : &moved.stretches.back();
    if (last != nullptr && last->file_block + last->count == from && last->flags == extent.flags) {
      last->count += count;
    } else {
      moved.stretches.push_back({from, count, extent.flags, moved.blocks});
    }
    moved.blocks += count;
  }
  return moved;
}

class BlockMove {
 public:
  BlockMove(VolumeState& volume, blockio::IoQueue& io, Inode& inode, std::uint64_t first, std::uint64_t end,
            store::Allocation& target, std::span<std::byte> buffer, store::CommitKind kind)
      : volume_(volume),
        io_(io),
        inode_(inode),
        first_(first),
        end_(end),
        target_(target),
        buffer_(buffer),
        kind_(kind),
        most_(std::min(buffer.size(), kMaxWriteBytes) / volume.block_size) {}

  Result<std::uint64_t> run();

 private:
  enum class Outcome : std::uint8_t { copied, nothing, needs_lock };

  [[nodiscard]] Status look(ExtentWindow& window);
  [[nodiscard]] bool can_move() const noexcept { return moved_.blocks != 0 && moved_.blocks <= target_.run().count; }
  // While others use the file.
  [[nodiscard]] Result<Outcome> copy_unlocked();
  [[nodiscard]] Status write();
  [[nodiscard]] Status commit_move(ExtentWindow& window);
  void stage(ExtentWindow& window, store::Transaction& transaction);

  VolumeState& volume_;
  blockio::IoQueue& io_;
  Inode& inode_;
  const std::uint64_t first_;
  const std::uint64_t end_;
  store::Allocation& target_;
  const std::span<std::byte> buffer_;
  const store::CommitKind kind_;
  const std::uint64_t most_;  // blocks
  MovedBlocks moved_;
  std::uint64_t version_ = 0;  // of the inode when moved_ was looked at
};

Status BlockMove::look(ExtentWindow& window) {
  TRY(window.load(io_, first_, end_, static_cast<std::size_t>(most_)));
  moved_ = blocks_to_move(window, first_, end_, most_);
  version_ = inode_.item.version;
  return {};
}

Result<BlockMove::Outcome> BlockMove::copy_unlocked() {
  {
    std::shared_lock lock(inode_.lock);
    if (inode_.truncation_unfinished) return Outcome::needs_lock;
    // Entered with the lock and left before the next wait for one, as for any reader.
    const auto guard = volume_.store->read_guard();
    ExtentWindow window(volume_, inode_.number());
    TRY(look(window));
    if (!can_move()) return Outcome::nothing;
    // What is overwritten in place may change while it is copied.
    if (!moved_.all_checked()) return Outcome::needs_lock;
    lock.unlock();
    TRY(read_file_blocks(volume_, io_, inode_.number(), window, moved_.first, moved_.end, buffer_.data()));
  }
  TRY(write());
  return Outcome::copied;
}

Result<std::uint64_t> BlockMove::run() {
  const Outcome outcome = TRY(copy_unlocked());
  if (outcome == Outcome::nothing) return end_;
  const std::lock_guard lock(inode_.lock);
  TRY(finish_truncation(volume_, io_, inode_));
  ExtentWindow window(volume_, inode_.number());
  const MovedBlocks copied = std::move(moved_);
  const bool unchanged = outcome == Outcome::copied && version_ == inode_.item.version;
  TRY(look(window));
  if (!can_move()) return end_;
  // Whoever wrote elsewhere in the file does not matter; where it was here, once more, and nobody comes between now.
  if (outcome != Outcome::copied || (!unchanged && !(copied == moved_))) {
    TRY(read_file_blocks(volume_, io_, inode_.number(), window, moved_.first, moved_.end, buffer_.data()));
    TRY(write());
  }
  TRY(commit_move(window));
  return moved_.end;
}

// The blocks in the buffer to the target: one write each run of those that are written.
Status BlockMove::write() {
  const std::size_t block_size = volume_.block_size;
  std::vector<blockio::IoOp> writes;
  writes.reserve(moved_.stretches.size());  // never reallocated: operations must stay where they are
  const std::uint64_t target = volume_.store->layout().byte_offset(target_.run().first);
  for (const Stretch& stretch : moved_.stretches) {
    if (!stretch.written()) continue;
    std::byte* const to = buffer_.data() + stretch.at * block_size;
    const std::byte* const from = buffer_.data() + (stretch.file_block - moved_.first) * block_size;
    const std::uint64_t length = stretch.count * block_size;
    if (to != from) std::memmove(to, from, length);  // over a hole
    const std::uint64_t offset = target + stretch.at * block_size;
    if (!writes.empty() && writes.back().offset + writes.back().length == offset) {
      const std::uint64_t begin = writes.back().offset;
      writes.back() = blockio::IoOp::write(begin, {to - (offset - begin), offset - begin + length});
    } else {
      writes.push_back(blockio::IoOp::write(offset, {to, length}));
    }
  }
  if (writes.empty()) return {};
  std::vector<blockio::IoOp*> ops;
  ops.reserve(writes.size());
  for (blockio::IoOp& write : writes) ops.push_back(&write);
  volume_.store->data_epoch().change();
  Status written = io_.run(ops);
  volume_.store->data_epoch().change();
  TRY(std::move(written));
  // No checksum will tell recovery whether these arrived.
  if (!moved_.all_checked() && !has_bug(SeededBug::data_flush_left_out)) return volume_.store->flush_device(io_);
  return {};
}

void BlockMove::stage(ExtentWindow& window, store::Transaction& transaction) {
  const std::vector<format::le32> checksums(moved_.checksums.begin(), moved_.checksums.end());
  const BlockNumber target = target_.run().first;
  window.remove(moved_.first, moved_.end, ExtentWindow::Fate::free_blocks);
  for (const Stretch& stretch : moved_.stretches) {
    const BlockRun run{target + stretch.at, stretch.count};
    std::span<const format::le32> sums;
    if (stretch.flags == 0) {
      sums =
          std::span(checksums).subspan(static_cast<std::size_t>(stretch.at), static_cast<std::size_t>(stretch.count));
      transaction.witness(run, sums);
    }
    window.insert(stretch.file_block, run, stretch.flags, sums);
  }
  window.stage(transaction);
  transaction.adopt(target_.take_first(moved_.blocks));
}

Status BlockMove::commit_move(ExtentWindow& window) {
  const BlockNumber target = target_.run().first;
  StagedInode staged(inode_);
  store::Transaction transaction;
  stage(window, transaction);
  const bool grows = kind_ == store::CommitKind::replacing && window.has_more_items();
  TRY(commit(volume_, io_, transaction, {&staged}, grows ? store::CommitKind::filling : kind_));
  const std::lock_guard streaming(inode_.allocation_stream.lock);
  for (const Stretch& stretch : moved_.stretches) {
    inode_.allocation_stream.moved(stretch.file_block, {target + stretch.at, stretch.count});
  }
  return {};
}

}  // namespace

Result<std::uint64_t> move_blocks(VolumeState& volume, blockio::IoQueue& io, Inode& inode, std::uint64_t first,
                                  std::uint64_t end, store::Allocation& target, std::span<std::byte> buffer,
                                  store::CommitKind kind) {
  return BlockMove(volume, io, inode, first, end, target, buffer, kind).run();
}

}  // namespace ashlar::volume
