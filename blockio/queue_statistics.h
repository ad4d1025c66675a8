// What a queue did. Written by its owner as it goes, at no allocation and two clock readings a batch; read by anybody.
#pragma once

#include <array>

#include "blockio/io_op.h"
#include "blockio/latency_histogram.h"

namespace ashlar::blockio {

struct OperationStatistics {
  Counter completed;         // with and without error
  Counter failed;            // of those
  Counter bytes;             // that the successful ones moved
  LatencyHistogram latency;  // from submit to completion, waiting for room included
};

class QueueStatistics {
 public:
  [[nodiscard]] const OperationStatistics& of(OpKind kind) const noexcept {
    return operations_[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] OperationStatistics& of(OpKind kind) noexcept { return operations_[static_cast<std::size_t>(kind)]; }

  Counter steps;       // transfers handed to the engine
  Counter merged;      // operations that went out with their neighbour
  Counter retried;     // steps repeated because the kernel was short of something or was interrupted
  Counter shortened;   // steps that moved less than asked
  Counter cancelled;   // steps the engine was asked to take back: by cancel() or a deadline
  Counter most_slots;  // the highest number of slots in use at once

  // Adds the other's figures to this one's.
  void merge(const QueueStatistics& other) noexcept;

 private:
  std::array<OperationStatistics, kOpKinds> operations_;
};

}  // namespace ashlar::blockio
