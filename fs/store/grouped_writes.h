// Small writes of file data whose callers wait, brought to the device together.
#pragma once

#include <sys/uio.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/layout.h"
#include "fs/store/allocator/allocator.h"

namespace ashlar::store {

// While the device is busy with some writes, those that arrive meanwhile line up; the first of them then writes all, to
// adjacent blocks and from their own memory. So a device write is shared by as many as came while the last took, and
// nobody waits who comes alone. The same idea as group commit in a log.
//
// Thread-safe. Device I/O and allocation happen without the lock, on the queue of the caller who leads.
class GroupedWrites {
 public:
  using Allocate = std::function<Result<BlockRun>(blockio::IoQueue&, const AllocationRequest&)>;

  // The allocator outlives this. `allocate` may wait for a checkpoint.
  GroupedWrites(const format::Layout& layout, Allocator& allocator, Allocate allocate);

  // The largest write that is better off in company, in bytes.
  static constexpr std::size_t kMaxWriteBytes = 64U << 10;

  // Writes `blocks` whole blocks of data, in pieces, to a run that is the caller's from then on; it is on the device
  // (not necessarily on the medium) when this returns. `goal` is heeded when nobody else is waiting. Empty when no run
  // of that length was free: write it yourself then. What allocate() and the device say; nothing was taken then.
  [[nodiscard]] Result<BlockRun> write(blockio::IoQueue& io, BlockNumber goal, std::span<const iovec> pieces,
                                       std::uint64_t blocks);

 private:
  struct Waiter {
    std::span<const iovec> pieces;
    std::uint64_t blocks;
    BlockNumber goal;
    enum class State { queued, taken, done } state = State::queued;
    Result<BlockRun> result{BlockRun{}};
    std::condition_variable changed{};
  };
  using Lock = std::unique_lock<std::mutex>;

  [[nodiscard]] std::vector<Waiter*> take_group();
  // Without the lock; sets the results.
  void write_group(blockio::IoQueue& io, std::span<Waiter* const> group);
  // The first of the group that fit into the run, in order; `run` is cut to what they take.
  [[nodiscard]] Status write_run(blockio::IoQueue& io, std::span<Waiter* const> group, BlockRun run);

  const format::Layout layout_;
  const std::uint64_t group_blocks_;
  Allocator& allocator_;
  const Allocate allocate_;

  std::mutex mutex_;
  std::deque<Waiter*> queue_;  // at most one for each thread that serves requests
  unsigned writing_ = 0;       // groups
  BlockNumber next_goal_;      // behind the last group
};

}  // namespace ashlar::store
