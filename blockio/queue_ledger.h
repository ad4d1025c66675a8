// The figures of all queues of a device, those too that are closed by now.
#pragma once

#include <mutex>
#include <vector>

#include "blockio/queue_statistics.h"

namespace ashlar::blockio {

class IoQueue;

// Thread-safe. Outlives the queues that are enrolled. As many entries as there are queues.
class QueueLedger {
 public:
  // Its figures count from now on, and stay when it is destroyed. Once a queue.
  void enroll(IoQueue& queue);
  // Adds what all of them did so far.
  void add_to(QueueStatistics& sum) const;

 private:
  friend class IoQueue;
  void retire(const QueueStatistics& figures) noexcept;

  mutable std::mutex mutex_;
  std::vector<const QueueStatistics*> open_;  // guarded by mutex_
  QueueStatistics closed_;                    // guarded by mutex_
};

}  // namespace ashlar::blockio
