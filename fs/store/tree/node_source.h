// Where the tree gets nodes that are not in memory.
#pragma once

#include <span>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/node.h"

namespace ashlar::store {

// One node of several that are read together.
struct NodeRead {
  format::NodePointer pointer;
  std::span<std::byte> image;  // as for read()
  bool good = false;           // `image` holds the node
};

class NodeSource {
 public:
  virtual ~NodeSource() = default;
  // Reads and validates the node into `image` (node_size bytes, aligned for direct I/O). Thread-safe; each caller its
  // own queue. A bad copy is answered from the other one and rewritten.
  [[nodiscard]] virtual Status read(blockio::IoQueue& io, const format::NodePointer& pointer,
                                    std::span<std::byte> image) = 0;
  // Reads the first copies of nodes that may never be needed, at once, and tells which are good. One that is bad is
  // nobody's loss yet: it is neither counted nor healed, and read() answers who needs it.
  virtual void read_ahead(blockio::IoQueue& io, std::span<NodeRead> reads) = 0;
};

}  // namespace ashlar::store
