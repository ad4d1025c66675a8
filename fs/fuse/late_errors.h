// Errors of file contents that the kernel sent after write(2) had returned, for the next write(2) to fail with.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "fs/base/result.h"
#include "fs/base/types.h"

namespace ashlar::fuse {

// With write-back caching the kernel takes what is written and sends it later; when that fails it tells fsync and close
// alone. A program that never calls them would write on for ever on a full volume. But before each write the kernel
// asks for the attributes of a file if it has been told that those it has are out of date, and fails the write when
// that fails. So the kernel is told so, and the error is the answer.
//
// Thread-safe. An error is in here about as long as the kernel has something to ask.
class LateErrors {
 public:
  // Of those noted earlier the oldest is dropped: fsync and close tell it all the same.
  static constexpr std::size_t kMostFiles = 64;

  // A write that nobody waited for has failed.
  void note(InodeNumber inode, ErrorCode error);
  // The attributes are being answered: what was noted last, which is over with that.
  [[nodiscard]] std::optional<ErrorCode> take(InodeNumber inode);

  // For a thread of its own, because the kernel may let its caller wait until the failed write was answered: tells the
  // kernel behind `connection` (the session's descriptor) of each file noted, until stop().
  void announce(int connection);
  void stop();

 private:
  struct Failure {
    InodeNumber inode;
    ErrorCode error = ErrorCode::io_error;
    bool announced = false;
  };

  std::atomic<bool> any_{false};  // spares those who ask the lock
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<Failure> failures_;  // oldest first
  bool stopped_ = false;
};

// Tells the kernel that it no longer knows an inode: its attributes, and from `offset` on its contents, which it writes
// first; a negative offset leaves those alone. ok, or the error of the write(2); an inode that the kernel does not have
// is none.
[[nodiscard]] Status invalidate_inode(int connection, InodeNumber inode, std::int64_t offset);

}  // namespace ashlar::fuse
