#include "fs/volume/access_times.h"

#include <linux/fs.h>

#include <shared_mutex>
#include <utility>

#include "fs/volume/inode_item.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;
// With relatime, access times are no older than that where something is read (mount(8)).
constexpr time_t kRelatimeSeconds = 24L * 60 * 60;

std::int64_t to_nanoseconds(const timespec& time) noexcept { return time.tv_sec * kNanoseconds + time.tv_nsec; }

// `inode` with its lock held exclusively.
Status write_locked(VolumeState& volume, blockio::IoQueue& io, Inode& inode) {
  // Whoever changed it meanwhile has written it; without names, nobody will see it after the next mount.
  if (inode.accessed.load(std::memory_order_relaxed) == 0 || inode.item.links == 0) return {};
  StagedInode staged(inode);
  store::Transaction transaction;
  return commit(volume, io, transaction, {&staged}, store::CommitKind::replacing);
}

}  // namespace

bool PendingAccesses::add(InodeRef inode, const timespec& now) {
  const std::lock_guard guard(lock_);
  if (inodes_.empty()) first_ = now.tv_sec;
  const std::uint64_t number = inode->number().value();
  inodes_.insert_or_assign(number, std::move(inode));
  return inodes_.size() >= kMost || now.tv_sec - first_ >= kLongest;
}

void PendingAccesses::remove(InodeNumber number) {
  InodeRef released;  // after the lock
  const std::lock_guard guard(lock_);
  const auto found = inodes_.find(number.value());
  if (found == inodes_.end()) return;
  released = std::move(found.value());
  inodes_.erase(found);
}

std::vector<InodeRef> PendingAccesses::take_all() {
  std::vector<InodeRef> all;
  const std::lock_guard guard(lock_);
  all.reserve(inodes_.size());
  for (auto entry = inodes_.begin(); entry != inodes_.end(); ++entry) all.push_back(std::move(entry.value()));
  inodes_.clear();
  return all;
}

format::InodeItem with_access_time(const Inode& inode) noexcept {
  format::InodeItem item = inode.item;
  const std::int64_t accessed = inode.accessed.load(std::memory_order_relaxed);
  if (accessed != 0) item.accessed = to_item({accessed / kNanoseconds, accessed % kNanoseconds});
  return item;
}

bool reading_moves_time(const VolumeState& volume, const Inode& inode, const timespec& now) noexcept {
  const AccessTimes policy = volume.options.access_times;
  if (policy == AccessTimes::never || (inode.item.flags & FS_NOATIME_FL) != 0) return false;
  if (volume.options.no_directory_access_times && inode.is_directory()) return false;
  if (now.tv_sec <= 0 || !check_writable(volume)) return false;
  if (policy == AccessTimes::always) return true;
  const format::InodeItem item = with_access_time(inode);
  const timespec accessed = to_timespec(item.accessed);
  return not_after(accessed, to_timespec(item.modified)) || not_after(accessed, to_timespec(item.changed)) ||
         now.tv_sec - accessed.tv_sec >= kRelatimeSeconds;
}

void write_access_time(VolumeState& volume, blockio::IoQueue& io, Inode& inode) {
  if (inode.accessed.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(inode.lock);
  static_cast<void>(write_locked(volume, io, inode));
}

void write_access_times(VolumeState& volume, blockio::IoQueue& io) {
  if (volume.options.access_times == AccessTimes::never || !check_writable(volume)) return;
  const std::vector<InodeRef> waiting = volume.accesses.take_all();
  for (const InodeRef& inode : waiting) write_access_time(volume, io, *inode);
}

AccessTimes Volume::access_times() const noexcept { return state_->options.access_times; }

bool Volume::reading_moves_access_time(Context& context, InodeNumber number) {
  if (state_->options.access_times == AccessTimes::never) return false;
  const Result<InodeRef> inode = state_->inodes.acquire(context.io, number);
  if (!inode) return false;
  const std::shared_lock lock((*inode)->lock);
  return reading_moves_time(*state_, **inode, context.now);
}

void Volume::accessed(Context& context, InodeNumber number) {
  if (state_->options.access_times == AccessTimes::never) return;
  const Result<InodeRef> inode = state_->inodes.acquire(context.io, number);
  Result<InodeRef> to_wait = state_->inodes.acquire(context.io, number);
  if (!inode || !to_wait) return;  // gone meanwhile
  bool time_to_write = false;
  {
    const std::shared_lock lock((*inode)->lock);
    if (!reading_moves_time(*state_, **inode, context.now)) return;
    const bool waits = (*inode)->accessed.exchange(to_nanoseconds(context.now), std::memory_order_relaxed) != 0;
    // Held in the table, an inode without names would never be removed.
    if (!waits && (*inode)->item.links != 0) time_to_write = state_->accesses.add(*std::move(to_wait), context.now);
  }
  if (time_to_write) write_access_times(*state_, context.io);
}

}  // namespace ashlar::volume
