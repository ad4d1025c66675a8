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

  Counter steps;         // transfers handed to the engine
  Counter merged;        // operations that went out with their neighbour
  Counter retried;       // steps repeated because the kernel was short of something or was interrupted
  Counter shortened;     // steps that moved less than asked
  Counter cancelled;     // steps the engine was asked to take back: by cancel() or a deadline
  Counter most_slots;    // the highest number of slots in use at once
  Counter slots_taken;   // an operation, or neighbours that went out together, takes one
  Counter slots_in_use;  // summed over those, each counting itself: see mean_depth()

  // Of slots in use when an operation was given one; 0 when none was.
  [[nodiscard]] double mean_depth() const noexcept {
    const std::uint64_t taken = slots_taken.get();
    return taken == 0 ? 0 : static_cast<double>(slots_in_use.get()) / static_cast<double>(taken);
  }

  // One slot more was taken, `in_use` of them then in use.
  void count_slot(std::uint64_t in_use) noexcept {
    most_slots.raise_to(in_use);
    slots_taken.add(1);
    slots_in_use.add(in_use);
  }

  // Adds the other's figures to this one's.
  void merge(const QueueStatistics& other) noexcept;

 private:
  std::array<OperationStatistics, kOpKinds> operations_;
};

}  // namespace ashlar::blockio
