// Small writes of file data, gathered in memory and brought to the device together.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/layout.h"
#include "fs/store/allocator/allocator.h"
#include "fs/store/data_epoch.h"
#include "fs/store/log/gathered_data.h"

namespace ashlar::store {

// Writes that come one after the other, to whatever files, are given adjacent blocks of a run reserved for them, and
// copied to a segment in memory. The segment is one device write: when it is full, beside the log write that brings
// what names its blocks, before a checkpoint does, or when somebody reads them.
//
// Thread-safe. Device I/O and allocation happen without the lock, on the caller's queue. A failed write is for ever:
// transactions are true already that name the data, so nothing later may become durable.
class WriteBehind final : public GatheredData {
 public:
  using Allocate = std::function<Result<BlockRun>(blockio::IoQueue&, const AllocationRequest&)>;

  // The allocator and the epoch outlive this. `allocate` may wait for a checkpoint.
  WriteBehind(const format::Layout& layout, Allocator& allocator, DataEpoch& epoch, Allocate allocate);

  // The largest write worth a copy, in bytes: longer ones keep the device busy by themselves.
  static constexpr std::size_t kMaxWriteBytes = 64U << 10;

  // Takes `blocks` whole blocks of data, in pieces; returns where they will lie. Empty when no run of that length was
  // free: write it yourself then. What allocate() says; io_error once a write failed.
  [[nodiscard]] Result<BlockRun> write(blockio::IoQueue& io, std::span<const iovec> pieces, std::uint64_t blocks);

  // All that was taken before this call is on the device (not necessarily on the medium) when this returns ok.
  [[nodiscard]] Status drain(blockio::IoQueue& io);
  // Likewise, but the last write is the caller's.
  [[nodiscard]] Result<std::optional<blockio::IoOp>> begin_write() override;
  void end_write(const blockio::IoOp& write) override;
  // As the first, as far as it lies in the run.
  [[nodiscard]] Status drain(blockio::IoQueue& io, BlockRun run);

  // Gives a run back to the allocator that no transaction took: at once, or after the segment it is in was written.
  void cancel(BlockRun run);
  [[nodiscard]] bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  // Gives back what is reserved and not used yet, and writes segments so that what cancel() gave back in them is free;
  // whether there was any.
  [[nodiscard]] Result<bool> give_back(blockio::IoQueue& io);

 private:
  struct Segment {
    BlockNumber first;
    std::uint64_t blocks = 0;  // used
    blockio::AlignedBuffer buffer;
    std::vector<BlockRun> cancelled;
    std::uint64_t number = 0;  // ascending

    [[nodiscard]] BlockRun run() const noexcept { return {first, blocks}; }
  };
  using Lock = std::unique_lock<std::mutex>;
  using InFlight = std::list<Segment>;  // by number

  // With the lock held; these let go of it meanwhile.
  [[nodiscard]] Status make_room(Lock& lock, blockio::IoQueue& io, std::uint64_t blocks);
  [[nodiscard]] Status reserve(Lock& lock, blockio::IoQueue& io);
  [[nodiscard]] Status take_buffer(Lock& lock);
  [[nodiscard]] Status write_out(Lock& lock, blockio::IoQueue& io);
  [[nodiscard]] Status wait_for_segments(Lock& lock, std::uint64_t last);
  // With the lock held all the time.
  [[nodiscard]] InFlight::iterator close_open();
  [[nodiscard]] blockio::IoOp write_of(const Segment& segment) const;
  void finish(InFlight::iterator segment, bool written);
  [[nodiscard]] Segment* find(BlockRun run);
  [[nodiscard]] bool any_cancelled() const;

  const std::size_t block_size_;
  const std::uint64_t segment_blocks_;
  Allocator& allocator_;
  DataEpoch& epoch_;
  const Allocate allocate_;
  const format::Layout layout_;

  std::mutex mutex_;
  std::condition_variable changed_;
  Segment open_;
  BlockRun reserve_;        // directly behind the open segment
  bool reserving_ = false;  // a thread is asking the allocator
  InFlight in_flight_;
  InFlight::iterator handed_out_;  // from begin_write() to end_write()
  std::vector<blockio::AlignedBuffer> spare_;
  std::size_t buffers_ = 0;  // there are, at most kMaxSegments
  std::uint64_t next_number_ = 1;
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> pending_blocks_{0};
};

}  // namespace ashlar::store
