// Removes what has lost its last name and its last user, and finishes truncations, in transactions of bounded size.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "blockio/block_device.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/items.h"
#include "fs/store/store.h"
#include "fs/volume/inode_table.h"

namespace ashlar::volume {

// Thread-safe. With a thread of its own, what a caller would have to wait long for is left to it; without, the caller
// does all. What fails is tried again: by the thread after a while, and by finish().
class Reaper {
 public:
  // At most `max_steps` transactions' worth of an inode's unfinished truncation; whether none is left.
  using Truncate = std::function<Result<bool>(blockio::IoQueue&, InodeNumber, std::size_t max_steps)>;

  Reaper(store::Store& store, InodeTable& inodes, Truncate truncate)
      : store_(store), inodes_(inodes), truncate_(std::move(truncate)) {}
  ~Reaper() { stop(); }
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  [[nodiscard]] Status start(blockio::BlockDevice& device, const blockio::QueueConfig& queue);
  // What is left over then waits for finish().
  void stop();

  // Removes doomed inodes: all there are, or as much as a caller can wait for when there is a thread for the rest.
  void work(blockio::IoQueue& io);
  // To be removed, an inode without names that is not in the table; or to be truncated.
  void adopt(InodeNumber number, format::OrphanReason reason);
  // All there are, also those that others are at, as far as they succeed. No inode may be locked by the caller.
  void finish(blockio::IoQueue& io);
  // Whether something is waiting or under way; what ended since some moment shows in another count than there was then.
  [[nodiscard]] bool has_work();
  [[nodiscard]] std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_acquire); }

 private:
  struct Task {
    InodeNumber inode;
    format::OrphanReason reason{};
    bool failed = false;  // and that was said
  };
  // Of a task that somebody works at; ascending.
  using Ticket = std::uint64_t;

  // As much as `max_steps` transactions do; what remains is left over. What fails at last is tried again by the next
  // mount, because of the inode's orphan item. The task was taken, and is no more.
  void work_at(blockio::IoQueue& io, Task task, Ticket ticket, std::size_t max_steps);
  // From when a task leaves its list it is under way: there is no moment at which it is neither.
  [[nodiscard]] bool work_at_doomed(blockio::IoQueue& io, std::size_t max_steps);     // false when there is none
  [[nodiscard]] bool work_at_left_over(blockio::IoQueue& io, std::size_t max_steps);  // likewise
  [[nodiscard]] Ticket begin();                                                       // lock_ is held
  [[nodiscard]] Result<bool> remove_some(blockio::IoQueue& io, InodeNumber number, std::size_t max_steps);
  void retry_failed();  // lock_ is held
  void run();

  store::Store& store_;
  InodeTable& inodes_;
  const Truncate truncate_;
  std::mutex lock_;
  std::condition_variable changed_;
  // Guarded by lock_. Both lists are bounded by the orphan items there are.
  std::vector<Task> left_over_;
  std::vector<Task> failed_;
  std::vector<Ticket> under_way_;  // one for each thread that is working, ascending
  Ticket next_ticket_ = 0;
  std::atomic<std::uint64_t> ended_{0};
  bool stopping_ = false;

  std::unique_ptr<blockio::IoQueue> queue_;  // the thread's
  std::thread thread_;
};

}  // namespace ashlar::volume
