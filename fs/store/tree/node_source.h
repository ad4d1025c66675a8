// Where the tree gets nodes that are not in memory.
#pragma once

#include <span>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/node.h"

namespace ashlar::store {

class NodeSource {
 public:
  virtual ~NodeSource() = default;
  // Reads and validates the node into `image` (node_size bytes, aligned for direct I/O). Thread-safe; each caller its
  // own queue. A bad copy is answered from the other one and rewritten.
  [[nodiscard]] virtual Status read(blockio::IoQueue& io, const format::NodePointer& pointer,
                                    std::span<std::byte> image) = 0;
};

}  // namespace ashlar::store
