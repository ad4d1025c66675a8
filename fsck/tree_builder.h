// Writes a new tree, bottom-up, into blocks that nothing uses. Of each level only the node that is being filled is in
// memory.
#pragma once

#include <array>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {

class TreeBuilder {
 public:
  // New nodes avoid the blocks of `kept`, where they are then claimed, and those of `avoid`: the tree that still
  // counts. The references outlive it.
  TreeBuilder(CheckContext& context, Generation generation, BlockMap& kept, const BlockMap& avoid);

  // Keys ascend. no_space when the volume has no room for another tree.
  [[nodiscard]] Status add(const format::Key& key, std::span<const std::byte> value);
  // The root.
  [[nodiscard]] Result<format::NodePointer> finish();

  [[nodiscard]] std::uint64_t nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::uint64_t items_of(std::size_t kind) const noexcept { return item_counts_[kind]; }

 private:
  struct Child {
    format::Key lowest;
    format::NodePointer pointer;
  };

  void begin_node(std::uint8_t level);
  [[nodiscard]] format::NodeHeader& header();
  [[nodiscard]] Status finish_leaf();
  [[nodiscard]] Result<format::NodePointer> write_node();
  [[nodiscard]] Result<BlockNumber> take_place(std::size_t copy);
  // Takes a node of this level, and writes the one above when it is full.
  [[nodiscard]] Status add_child(std::size_t level, const Child& child);
  [[nodiscard]] Status finish_internal(std::size_t level);

  CheckContext& context_;
  const Generation generation_;
  BlockMap& kept_;
  const BlockMap& avoid_;
  const std::size_t node_size_;
  blockio::AlignedBuffer node_;
  std::array<std::uint64_t, format::kCopies> next_place_{};
  // What waits for a node above it.
  struct Level {
    std::vector<Child> children;
    bool is_first = true;  // none of them has been written
  };
  std::vector<Level> levels_;  // from the leaves up
  format::Key lowest_;         // of the leaf being filled
  std::uint64_t nodes_ = 0;
  std::array<std::uint64_t, format::kItemKindLimit> item_counts_{};
};

}  // namespace ashlar::fsck
