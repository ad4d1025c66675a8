// Removes what has lost its last name and its last user, and finishes truncations, in transactions of bounded size.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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
  // All there are, also those that the thread is at, as far as they succeed. No inode may be locked by the caller.
  void finish(blockio::IoQueue& io);
  [[nodiscard]] bool has_work();

 private:
  struct Task {
    InodeNumber inode;
    format::OrphanReason reason{};
    bool failed = false;  // and that was said
  };

  // As much as `max_steps` transactions do; what remains is left over. What fails at last is tried again by the next
  // mount, because of the inode's orphan item.
  void work_at(blockio::IoQueue& io, Task task, std::size_t max_steps);
  [[nodiscard]] Result<bool> remove_some(blockio::IoQueue& io, InodeNumber number, std::size_t max_steps);
  [[nodiscard]] std::optional<Task> take_left_over();
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
  bool thread_is_busy_ = false;
  bool stopping_ = false;

  std::unique_ptr<blockio::IoQueue> queue_;  // the thread's
  std::thread thread_;
};

}  // namespace ashlar::volume
