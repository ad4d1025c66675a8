#include "fs/fuse/late_errors.h"

#include <linux/fuse.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/log.h"

namespace ashlar::fuse {

void LateErrors::note(InodeNumber inode, ErrorCode error) {
  {
    const std::lock_guard guard(lock_);
    std::erase_if(failures_, [inode](const Failure& failure) { return failure.inode == inode; });
    if (failures_.size() == kMostFiles) failures_.pop_front();
    failures_.push_back({inode, error});
    any_.store(true, std::memory_order_relaxed);
  }
  changed_.notify_one();
}

std::optional<ErrorCode> LateErrors::take(InodeNumber inode) {
  if (!any_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard guard(lock_);
  const auto found = std::find_if(failures_.begin(), failures_.end(),
                                  [inode](const Failure& failure) { return failure.inode == inode; });
  if (found == failures_.end()) return std::nullopt;
  const ErrorCode error = found->error;
  failures_.erase(found);
  any_.store(!failures_.empty(), std::memory_order_relaxed);
  return error;
}

void LateErrors::announce(int connection) {
  std::unique_lock lock(lock_);
  for (;;) {
    const auto next =
        std::find_if(failures_.begin(), failures_.end(), [](const Failure& failure) { return !failure.announced; });
    if (stopped_) return;
    if (next == failures_.end()) {
      changed_.wait(lock);
      continue;
    }
    next->announced = true;
    const InodeNumber inode = next->inode;
    lock.unlock();
    constexpr std::int64_t kAttributesAlone = -1;
    if (const Status told = invalidate_inode(connection, inode, kAttributesAlone); !told) {
      log(LogLevel::warning, "inode {}: a failed write shows at fsync or close only: {}", inode.value(),
          told.error().message());
    }
    lock.lock();
  }
}

void LateErrors::stop() {
  {
    const std::lock_guard guard(lock_);
    stopped_ = true;
  }
  changed_.notify_one();
}

Status invalidate_inode(int connection, InodeNumber inode, std::int64_t offset) {
  struct {
    fuse_out_header header;
    fuse_notify_inval_inode_out body;
  } notification{};
  notification.header = {sizeof notification, FUSE_NOTIFY_INVAL_INODE, 0};
  notification.body.ino = inode.value();
  notification.body.off = offset;
  if (write(connection, &notification, sizeof notification) >= 0 || errno == ENOENT) return {};
  return fail(from_errno(errno));
}

}  // namespace ashlar::fuse
