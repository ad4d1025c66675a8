// Reads nodes of the tree, both copies of each, ahead of who looks at them.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {

// A node to be read, and the keys that its parent gives it.
struct ExpectedNode {
  format::NodePointer pointer;
  KeyRange range;
};

class NodeReader {
 public:
  // Nodes read together, so that neighbours make one transfer.
  static constexpr std::size_t kBatchNodes = 64;

  explicit NodeReader(CheckContext& context);
  ~NodeReader();
  NodeReader(const NodeReader&) = delete;
  NodeReader& operator=(const NodeReader&) = delete;

  // Starts to read these, which stay until next() has returned the last of them; what was begun before is given up.
  // out_of_memory when there is none for so many.
  [[nodiscard]] Status begin(std::span<const ExpectedNode> nodes);
  // The next batch of them in order, valid until the next call of any kind; empty at the end.
  [[nodiscard]] std::span<const ExpectedNode> next();
  // What the device answered for a copy of a node of that batch, and the bytes if that was a success.
  // corrupt_structure when the copy would lie outside the volume.
  [[nodiscard]] Status outcome(std::size_t index, std::size_t copy) const;
  [[nodiscard]] std::span<std::byte> image(std::size_t index, std::size_t copy);

 private:
  static constexpr std::size_t kBatches = 8;  // one is looked at while the others are read

  struct Batch {
    std::span<const ExpectedNode> nodes;
    blockio::AlignedBuffer buffer;
    std::size_t room = 0;                                             // nodes that fit into it, both copies
    std::array<blockio::IoOp, kBatchNodes * format::kCopies> reads;   // copy by copy
    std::array<blockio::IoOp*, kBatchNodes * format::kCopies> order;  // those of them that were submitted
    std::size_t submitted = 0;

    [[nodiscard]] std::span<blockio::IoOp* const> in_order() { return std::span(order).first(submitted); }
  };

  [[nodiscard]] Status make_room(Batch& batch, std::size_t nodes) const;
  void submit(Batch& batch);
  void wait(Batch& batch);
  [[nodiscard]] bool in_bounds(const format::NodePointer& pointer) const;
  [[nodiscard]] static std::size_t place(std::size_t index, std::size_t copy) { return copy * kBatchNodes + index; }
  [[nodiscard]] std::span<std::byte> bytes(Batch& batch, std::size_t index, std::size_t copy) const {
    return batch.buffer.span().subspan((copy * batch.room + index) * node_size_, node_size_);
  }

  CheckContext& context_;
  const std::size_t node_size_;
  std::unique_ptr<std::array<Batch, kBatches>> batches_;
  std::size_t current_ = 0;              // of batches_, what next() returned last
  std::span<const ExpectedNode> ahead_;  // not submitted yet
};

}  // namespace ashlar::fsck
