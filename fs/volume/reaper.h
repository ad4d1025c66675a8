// Removes what has lost its last name and its last user, in transactions of bounded size.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "blockio/block_device.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/store/store.h"
#include "fs/volume/inode_table.h"

namespace ashlar::volume {

// Thread-safe. With a thread of its own, what a caller would have to wait long for is left to it; without, the caller
// does all.
class Reaper {
 public:
  Reaper(store::Store& store, InodeTable& inodes) noexcept : store_(store), inodes_(inodes) {}
  ~Reaper() { stop(); }
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  [[nodiscard]] Status start(blockio::BlockDevice& device, const blockio::QueueConfig& queue);
  // What is left over then waits for finish().
  void stop();

  // Removes doomed inodes: all there are, or as much as a caller can wait for when there is a thread for the rest.
  void work(blockio::IoQueue& io);
  // An inode without names that is not in the table, found at mount.
  void adopt(InodeNumber number);
  // All there are, also those that the thread is at. No inode may be locked by the caller.
  void finish(blockio::IoQueue& io);
  [[nodiscard]] bool has_work();

 private:
  // As much as `max_steps` transactions do; whether it is over with `number`. Failures are logged: the inode's orphan
  // item makes the next mount try again.
  [[nodiscard]] bool remove_some(blockio::IoQueue& io, InodeNumber number, std::size_t max_steps);
  [[nodiscard]] std::optional<InodeNumber> take_left_over();
  void run();

  store::Store& store_;
  InodeTable& inodes_;
  std::mutex lock_;
  std::condition_variable changed_;
  // Guarded by lock_.
  std::vector<InodeNumber> left_over_;  // bounded by the orphan items there are
  bool thread_is_busy_ = false;
  bool stopping_ = false;

  std::unique_ptr<blockio::IoQueue> queue_;  // the thread's
  std::thread thread_;
};

}  // namespace ashlar::volume
