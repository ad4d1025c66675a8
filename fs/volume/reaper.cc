#include "fs/volume/reaper.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/volume/inode_item.h"

namespace ashlar::volume {
namespace {

// Transactions that a caller waits for when there is a thread.
constexpr std::size_t kStepsPerCaller = 4;
constexpr std::size_t kAllSteps = std::numeric_limits<std::size_t>::max();
// Between two attempts at what failed.
constexpr std::chrono::seconds kRetryInterval{5};

struct Removable {
  std::vector<format::Key> keys;
  std::vector<BlockRun> runs;
  std::uint64_t blocks = 0;
  std::uint32_t xattrs = 0;
  bool more = false;
};

void take_item(Removable& removable, const format::Layout& layout, const format::Key& key,
               std::span<const std::byte> value) {
  removable.keys.push_back(key);
  if (key.kind == format::ItemKind::xattr) {
    format::XattrCursor cursor(value);
    while (cursor.next()) ++removable.xattrs;
  }
  if (key.kind != format::ItemKind::extent) return;
  const auto extent = format::parse_extent(key, value, layout.block_count());
  // A damaged extent goes without its blocks: whose they are is for fsck to find out.
  if (!extent || layout.touches_fixed({extent->physical, extent->count})) return;
  removable.runs.push_back({extent->physical, extent->count});
  removable.blocks += extent->count;
}

// What of an inode goes next: the extents, which may be many, and when all of them fit, the rest. All but its own item.
Result<Removable> find_removable(store::Store& store, blockio::IoQueue& io, InodeNumber number) {
  constexpr format::ItemKind kFirstKind{static_cast<std::uint8_t>(format::ItemKind::inode) + 1};
  constexpr format::ItemKind kLastBeforeExtents{static_cast<std::uint8_t>(format::ItemKind::extent) - 1};
  const std::size_t most = max_items_per_step(store.layout().node_size());
  Removable removable;
  const auto take = [&](const format::Key& key, std::span<const std::byte> value) {
    removable.more = removable.keys.size() == most;
    if (!removable.more) take_item(removable, store.layout(), key, value);
    return !removable.more;
  };
  TRY(store.scan(io, {number, format::ItemKind::extent, 0}, {number, format::ItemKind{0xff}, ~0ULL}, take));
  if (!removable.more) {
    TRY(store.scan(io, {number, kFirstKind, 0}, {number, kLastBeforeExtents, ~0ULL}, take));
  }
  return removable;
}

// One transaction's worth of removing an inode without names; true when nothing is left of it.
Result<bool> remove_step(store::Store& store, blockio::IoQueue& io, InodeNumber number) {
  store::ItemValue value;
  store::Transaction transaction;
  transaction.erase(orphan_key(number));
  if (!TRY(store.get(io, inode_key(number), value))) {
    TRY(store.commit(io, transaction, store::CommitKind::freeing));
    return true;
  }
  format::InodeItem item = TRY(format::parse_inode(value));
  if (item.links != 0) {
    log(LogLevel::error, "inode {} has names and is listed as having none: it stays", number.value());
    TRY(store.commit(io, transaction, store::CommitKind::freeing));
    return true;
  }
  const Removable removable = TRY(find_removable(store, io, number));
  if (removable.more) transaction.clear();
  for (const format::Key& key : removable.keys) transaction.erase(key);
  for (const BlockRun& run : removable.runs) transaction.free(run);
  if (removable.more) {
    item.blocks = item.blocks - std::min(item.blocks.value(), removable.blocks);
    item.xattrs = item.xattrs - std::min(item.xattrs.value(), removable.xattrs);
    transaction.put_item(inode_key(number), item);
  } else {
    transaction.erase(inode_key(number));
  }
  TRY(store.commit(io, transaction, store::CommitKind::freeing));
  return !removable.more;
}

}  // namespace

Status Reaper::start(blockio::BlockDevice& device, const blockio::QueueConfig& queue) {
  queue_ = TRY(device.open_queue(queue));
  thread_ = TRY(start_thread([this] { run(); }));
  return {};
}

void Reaper::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard guard(lock_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  queue_.reset();
}

Result<bool> Reaper::remove_some(blockio::IoQueue& io, InodeNumber number, std::size_t max_steps) {
  for (std::size_t step = 0; step < max_steps; ++step) {
    if (!TRY(remove_step(store_, io, number))) continue;
    inodes_.forget_doomed(number);
    return true;
  }
  return false;
}

void Reaper::work_at(blockio::IoQueue& io, Task task, Ticket ticket, std::size_t max_steps) {
  const bool removing = task.reason == format::OrphanReason::unlinked;
  const Result<bool> over = removing ? remove_some(io, task.inode, max_steps) : truncate_(io, task.inode, max_steps);
  const bool given_up = !over && store_.read_only();
  if (given_up && removing) inodes_.forget_doomed(task.inode);
  if (!over && !given_up && !task.failed) {
    log(LogLevel::warning, "inode {}: {} to be finished later: {}", task.inode.value(),
        removing ? "removal" : "truncation", over.error().message());
  }
  task.failed = !over;
  const std::lock_guard guard(lock_);
  if (!given_up && !(over && *over)) (over ? left_over_ : failed_).push_back(task);
  under_way_.erase(std::find(under_way_.begin(), under_way_.end(), ticket));
  ended_.fetch_add(1, std::memory_order_release);
  changed_.notify_all();
}

Reaper::Ticket Reaper::begin() {
  under_way_.push_back(next_ticket_);
  return next_ticket_++;
}

bool Reaper::work_at_doomed(blockio::IoQueue& io, std::size_t max_steps) {
  std::unique_lock guard(lock_);
  const auto number = inodes_.next_doomed();
  if (!number) return false;
  const Ticket ticket = begin();
  guard.unlock();
  work_at(io, {*number, format::OrphanReason::unlinked}, ticket, max_steps);
  return true;
}

bool Reaper::work_at_left_over(blockio::IoQueue& io, std::size_t max_steps) {
  std::unique_lock guard(lock_);
  if (left_over_.empty()) return false;
  const Task task = left_over_.back();
  left_over_.pop_back();
  const Ticket ticket = begin();
  guard.unlock();
  work_at(io, task, ticket, max_steps);
  return true;
}

void Reaper::work(blockio::IoQueue& io) {
  const std::size_t max_steps = thread_.joinable() ? kStepsPerCaller : kAllSteps;
  while (inodes_.has_doomed() && work_at_doomed(io, max_steps)) {
  }
}

void Reaper::adopt(InodeNumber number, format::OrphanReason reason) {
  const std::lock_guard guard(lock_);
  left_over_.push_back({number, reason});
  changed_.notify_all();
}

void Reaper::retry_failed() {
  left_over_.insert(left_over_.end(), failed_.begin(), failed_.end());
  failed_.clear();
}

void Reaper::finish(blockio::IoQueue& io) {
  {
    const std::lock_guard guard(lock_);
    retry_failed();
  }
  for (;;) {
    while (work_at_doomed(io, kAllSteps) || work_at_left_over(io, kAllSteps)) {
    }
    // What others begin from now on is none of this caller's.
    std::unique_lock guard(lock_);
    const Ticket mine = next_ticket_;
    changed_.wait(guard, [this, mine] { return under_way_.empty() || under_way_.front() >= mine; });
    if (left_over_.empty()) return;
  }
}

bool Reaper::has_work() {
  const std::lock_guard guard(lock_);
  return inodes_.has_doomed() || !under_way_.empty() || !left_over_.empty() || !failed_.empty();
}

void Reaper::run() {
  const auto has_something = [this] { return stopping_ || !left_over_.empty(); };
  std::unique_lock guard(lock_);
  for (;;) {
    if (failed_.empty()) {
      changed_.wait(guard, [&] { return has_something() || !failed_.empty(); });
    } else if (!changed_.wait_for(guard, kRetryInterval, has_something)) {
      retry_failed();
    }
    if (stopping_) return;
    guard.unlock();
    static_cast<void>(work_at_left_over(*queue_, kStepsPerCaller));
    guard.lock();
  }
}

}  // namespace ashlar::volume
