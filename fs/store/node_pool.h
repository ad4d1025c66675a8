// Block runs set aside for the tree nodes that coming checkpoints must write. A commit is allowed only when the pool
// covers every dirty node, so that a checkpoint never runs out of space, however fragmented the volume is.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/layout.h"
#include "fs/store/allocator/allocator.h"

namespace ashlar::store {

// First blocks of a node's two copies.
struct NodePlace {
  BlockNumber address[format::kCopies];
};

// Thread-safe; mutex_ is not held across I/O.
class NodePool {
 public:
  NodePool(const format::Layout& layout, Allocator& allocator) noexcept;
  ~NodePool();  // gives everything back

  // Takes places from the allocator until there are `wanted`. no_space when it cannot; what was gained is kept.
  [[nodiscard]] Status fill(blockio::IoQueue& io, std::size_t wanted);
  // no_space when it is empty: an accounting error, since commits see to it that it never is.
  [[nodiscard]] Result<NodePlace> take();
  // Gives back what exceeds `wanted`.
  void trim(std::size_t wanted);

  [[nodiscard]] std::size_t size() const;

 private:
  [[nodiscard]] Result<NodePlace> allocate_place(blockio::IoQueue& io);
  void cancel(const NodePlace& place);

  format::Layout layout_;
  Allocator& allocator_;
  mutable std::mutex mutex_;
  std::deque<NodePlace> places_;  // guarded by mutex_; used in the order taken, so that checkpoints write upwards
};

}  // namespace ashlar::store
