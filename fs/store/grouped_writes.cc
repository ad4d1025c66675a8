#include "fs/store/grouped_writes.h"

#include <algorithm>
#include <utility>

#include "blockio/io_op.h"

namespace ashlar::store {
namespace {

// One keeps the device busy while the other's callers take what was written further.
constexpr unsigned kMaxWriting = 2;
constexpr std::size_t kMaxGroupBytes = 256U << 10;

// Of one failure, what everybody in the group is told.
tl::unexpected<Error> again(const Error& error) { return fail(error.code(), error.message()); }

}  // namespace

GroupedWrites::GroupedWrites(const format::Layout& layout, Allocator& allocator, Allocate allocate)
    : layout_(layout),
      group_blocks_(kMaxGroupBytes / layout.block_size()),
      allocator_(allocator),
      allocate_(std::move(allocate)) {}

Result<BlockRun> GroupedWrites::write(blockio::IoQueue& io, BlockNumber goal, std::span<const iovec> pieces,
                                      std::uint64_t blocks) {
  Waiter me{pieces, blocks, goal};
  Lock lock(mutex_);
  queue_.push_back(&me);
  while (me.state != Waiter::State::done) {
    if (me.state == Waiter::State::taken || writing_ == kMaxWriting) {
      me.changed.wait(lock);
      continue;
    }
    const std::vector<Waiter*> group = take_group();
    ++writing_;
    lock.unlock();
    write_group(io, group);
    lock.lock();
    --writing_;
    for (Waiter* const waiter : group) {
      waiter->state = Waiter::State::done;
      // Under the lock: once it is done and the lock is free, the waiter may be gone.
      if (waiter != &me) waiter->changed.notify_one();
    }
    if (!queue_.empty()) queue_.front()->changed.notify_one();
  }
  return std::move(me.result);
}

// Those who came first, as many as make a write of a good size.
std::vector<GroupedWrites::Waiter*> GroupedWrites::take_group() {
  std::vector<Waiter*> group;
  std::uint64_t blocks = 0;
  while (!queue_.empty() && (group.empty() || blocks + queue_.front()->blocks <= group_blocks_)) {
    Waiter* const waiter = queue_.front();
    queue_.pop_front();
    waiter->state = Waiter::State::taken;
    blocks += waiter->blocks;
    if (group.empty()) waiter->goal = queue_.empty() ? waiter->goal : next_goal_;
    group.push_back(waiter);
  }
  return group;
}

void GroupedWrites::write_group(blockio::IoQueue& io, std::span<Waiter* const> group) {
  AllocationRequest request;
  request.goal = group.front()->goal;
  request.maximum = 0;
  for (const Waiter* const waiter : group) request.maximum += waiter->blocks;
  const Result<BlockRun> allocated = allocate_(io, request);
  if (!allocated) {
    for (Waiter* const waiter : group) waiter->result = again(allocated.error());
    return;
  }
  // When the run is short, those at the end do without.
  std::uint64_t used = 0;
  std::size_t count = 0;
  while (count < group.size() && used + group[count]->blocks <= allocated->count) used += group[count++]->blocks;
  const BlockRun run{allocated->first, used};
  if (used < allocated->count) allocator_.cancel({run.end(), allocated->count - used});
  if (count == 0) return;
  const Status written = write_run(io, group.first(count), run);
  if (!written) {
    allocator_.cancel(run);
    for (Waiter* const waiter : group.first(count)) waiter->result = again(written.error());
  }
}

Status GroupedWrites::write_run(blockio::IoQueue& io, std::span<Waiter* const> group, BlockRun run) {
  std::vector<iovec> pieces;
  BlockNumber next = run.first;
  for (Waiter* const waiter : group) {
    pieces.insert(pieces.end(), waiter->pieces.begin(), waiter->pieces.end());
    waiter->result = BlockRun{next, waiter->blocks};
    next = next + waiter->blocks;
  }
  blockio::IoOp op = blockio::IoOp::writev(layout_.byte_offset(run.first), pieces);
  TRY(io.run(op));
  const Lock lock(mutex_);
  next_goal_ = run.end();
  return {};
}

}  // namespace ashlar::store
