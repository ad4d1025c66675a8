#include "blockio/queue_ledger.h"

#include <algorithm>

#include "blockio/io_queue.h"

namespace ashlar::blockio {

void QueueLedger::enroll(IoQueue& queue) {
  const std::scoped_lock lock(mutex_);
  open_.push_back(&queue.statistics_);
  queue.ledger_ = this;
}

void QueueLedger::retire(const QueueStatistics& figures) noexcept {
  const std::scoped_lock lock(mutex_);
  closed_.merge(figures);
  open_.erase(std::remove(open_.begin(), open_.end(), &figures), open_.end());
}

void QueueLedger::add_to(QueueStatistics& sum) const {
  const std::scoped_lock lock(mutex_);
  sum.merge(closed_);
  for (const QueueStatistics* figures : open_) sum.merge(*figures);
}

}  // namespace ashlar::blockio
