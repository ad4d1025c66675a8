#include "blockio/queue_statistics.h"

namespace ashlar::blockio {

void QueueStatistics::merge(const QueueStatistics& other) noexcept {
  for (std::size_t i = 0; i < kOpKinds; ++i) {
    OperationStatistics& mine = operations_[i];
    const OperationStatistics& theirs = other.operations_[i];
    mine.completed.add(theirs.completed.get());
    mine.failed.add(theirs.failed.get());
    mine.bytes.add(theirs.bytes.get());
    mine.latency.merge(theirs.latency);
  }
  steps.add(other.steps.get());
  merged.add(other.merged.get());
  retried.add(other.retried.get());
  shortened.add(other.shortened.get());
  cancelled.add(other.cancelled.get());
  most_slots.raise_to(other.most_slots.get());
  slots_taken.add(other.slots_taken.get());
  slots_in_use.add(other.slots_in_use.get());
}

}  // namespace ashlar::blockio
