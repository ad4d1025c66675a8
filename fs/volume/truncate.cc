// Changing a file's size.
#include <algorithm>
#include <mutex>
#include <utility>

#include "blockio/aligned_buffer.h"
#include "blockio/io_op.h"
#include "fs/base/log.h"
#include "fs/base/seeded_bug.h"
#include "fs/volume/block_reader.h"
#include "fs/volume/extent_write.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/operation.h"

namespace ashlar::volume {
namespace {

constexpr store::CommitKind kFreeing = store::CommitKind::freeing;
constexpr store::CommitKind kReplacing = store::CommitKind::replacing;

Status resize_inline(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged, std::uint64_t size,
                     store::Transaction& transaction) {
  store::ItemValue contents;
  TRY(get_inline_data(volume, io, staged.inode(), contents));
  const bool grows = !contents.empty() && size > contents.size();
  if (!contents.empty()) {
    // Growing past the limit, prepare_resize() has moved them into extents.
    const format::Key key{staged.inode().number(), format::ItemKind::inline_data, 0};
    contents.resize(static_cast<std::size_t>(size));
    if (contents.empty()) {
      transaction.erase(key);
    } else {
      transaction.put(key, contents);
    }
  }
  const bool shrinks = size < staged.inode().item.size;
  return commit(volume, io, transaction, {&staged},
                shrinks ? kFreeing : (grows ? store::CommitKind::ordinary : kReplacing));
}

// One transaction's worth of removing extents past the size. True when none is left.
Result<bool> cut_some(VolumeState& volume, blockio::IoQueue& io, Inode& inode) {
  ExtentWindow window(volume, inode.number());
  const std::uint64_t first = volume.block_after(inode.item.size);
  TRY(window.load(io, first, kEndOfFileBlocks, volume.max_step_items));
  window.remove(first, kEndOfFileBlocks, ExtentWindow::Fate::free_blocks);
  StagedInode staged(inode);
  store::Transaction transaction;
  count_blocks(staged.next, window);
  window.stage(transaction);
  const bool done = !window.truncated();
  // Without names, the inode's orphan item says that all of it goes.
  if (done && staged.next.links != 0) transaction.erase(orphan_key(inode.number()));
  TRY(commit(volume, io, transaction, {&staged}, kFreeing));
  return done;
}

// Shrinking a file with extents: zeroes the rest of the last block, and begins to remove what lies behind it.
Status shrink(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged, std::uint64_t size,
              store::Transaction& transaction) {
  Inode& inode = staged.inode();
  const std::uint64_t last = volume.block_of(size);
  const std::uint64_t first_removed = volume.block_after(size);
  ExtentWindow window(volume, inode.number());
  TRY(window.load(io, last, kEndOfFileBlocks, volume.max_step_items));
  const MappedExtent* const cut = window.find(last);
  const bool partial = first_removed != last && size < inode.item.size && cut != nullptr && !cut->unwritten();
  ExtentWrite zeroing(volume, io, inode, store::CommitKind::zeroing, ExtentWrite::InPlace::never);
  if (partial) {
    const std::vector<std::byte> zeros(static_cast<std::size_t>(first_removed * volume.block_size - size));
    TRY(zeroing.run(window, size, zeros));
    zeroing.edit(window);
  }
  window.remove(first_removed, kEndOfFileBlocks, ExtentWindow::Fate::free_blocks);
  count_blocks(staged.next, window);
  const bool more = window.truncated();
  if (more && staged.next.links != 0 && !has_bug(SeededBug::truncation_not_remembered)) {
    put_orphan(transaction, inode.number(), volume.generation, format::OrphanReason::truncated);
  }
  window.stage(transaction);
  if (partial) zeroing.stage(transaction);
  const bool frees = window.block_change() < 0 || !partial;
  TRY(commit(volume, io, transaction, {&staged}, frees ? kFreeing : store::CommitKind::zeroing));
  inode.truncation_unfinished = more;
  return {};
}

// A damaged volume says that something other than a file is half truncated: nothing is to be done, now or ever.
Result<bool> drop_false_orphan(VolumeState& volume, blockio::IoQueue& io, const Inode& inode) {
  log(LogLevel::error, "inode {} is no file and is listed as half truncated: it is taken off the list",
      inode.number().value());
  // Without names, the inode's orphan item says that all of it goes.
  if (inode.item.links == 0) return true;
  store::Transaction transaction;
  transaction.erase(orphan_key(inode.number()));
  TRY(volume.store->commit(io, transaction, kFreeing));
  return true;
}

}  // namespace

Status finish_truncation(VolumeState& volume, blockio::IoQueue& io, Inode& inode) {
  while (inode.truncation_unfinished) inode.truncation_unfinished = !TRY(cut_some(volume, io, inode));
  return {};
}

Result<bool> continue_truncation(VolumeState& volume, blockio::IoQueue& io, InodeNumber number, std::size_t max_steps) {
  Result<InodeRef> inode = volume.inodes.acquire(io, number);
  if (!inode && inode.error().code() == ErrorCode::stale_handle) return true;  // it goes altogether
  if (!inode) return fail(std::move(inode).error());
  Inode& cut = **inode;
  const std::lock_guard lock(cut.lock);
  if (!cut.is_regular()) return drop_false_orphan(volume, io, cut);
  for (std::size_t step = 0; step < max_steps && cut.truncation_unfinished; ++step) {
    cut.truncation_unfinished = !TRY(cut_some(volume, io, cut));
  }
  return !cut.truncation_unfinished;
}

Status clear_past_end(VolumeState& volume, blockio::IoQueue& io, const Inode& inode) {
  const auto used = static_cast<std::size_t>(inode.item.size % volume.block_size);
  if (used == 0 || inode.item.blocks == 0) return {};
  const std::uint64_t last = volume.block_of(inode.item.size);
  ExtentWindow window(volume, inode.number());
  TRY(window.load(io, last, last));
  const MappedExtent* const extent = window.find(last);
  if (extent == nullptr || extent->unwritten() || extent->checksummed()) return {};
  blockio::AlignedBuffer buffer(volume.block_size);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  TRY(read_file_blocks(volume, io, inode.number(), window, last, last + 1, buffer.data()));
  const std::span<std::byte> rest = buffer.span().subspan(used);
  if (std::any_of(rest.begin(), rest.end(), [](std::byte b) { return b != std::byte{0}; })) {
    std::fill(rest.begin(), rest.end(), std::byte{0});
    blockio::IoOp write =
        blockio::IoOp::write(volume.store->layout().byte_offset(extent->physical_of(last)), buffer.span());
    volume.store->data_epoch().change();
    Status written = io.run(write);
    volume.store->data_epoch().change();
    TRY(std::move(written));
    volume.in_place_writes.note();
  }
  return volume.in_place_writes.flush(*volume.store, io);
}

Status prepare_resize(VolumeState& volume, blockio::IoQueue& io, Inode& inode, std::uint64_t size) {
  if (size > kMaxFileSize) return fail(ErrorCode::file_too_large);
  TRY(finish_truncation(volume, io, inode));
  if (size > volume.max_inline && may_be_inline(volume, inode.item)) TRY(convert_inline(volume, io, inode));
  return {};
}

Status resize(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged, std::uint64_t size,
              store::Transaction& transaction) {
  Inode& inode = staged.inode();
  staged.next.size = size;
  if (may_be_inline(volume, inode.item) && size <= volume.max_inline) {
    return resize_inline(volume, io, staged, size, transaction);
  }
  // What was preallocated past the end goes when the size is set, unless the file grows.
  const bool grows = size > inode.item.size;
  if (grows) TRY(clear_past_end(volume, io, inode));
  if (grows || inode.item.blocks == 0) return commit(volume, io, transaction, {&staged}, kReplacing);
  TRY(shrink(volume, io, staged, size, transaction));
  // The size has changed; what remains to be removed is nobody's concern but the next writer's, who will try again.
  if (Status finished = finish_truncation(volume, io, inode); !finished) {
    log(LogLevel::warning, "inode {}: truncation to be finished later: {}", inode.number().value(),
        finished.error().message());
    volume.reaper.adopt(inode.number(), format::OrphanReason::truncated);
  }
  return {};
}

}  // namespace ashlar::volume
