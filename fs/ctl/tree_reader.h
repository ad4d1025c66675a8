// Finds items in a volume's tree as of its last checkpoint.
#pragma once

#include <functional>

#include "fs/ctl/volume_reader.h"
#include "fs/format/node.h"

namespace ashlar::ctl {

class TreeReader {
 public:
  // Returns whether to go on. The value is valid during the call.
  using Visitor = std::function<bool(const format::Key& key, std::span<const std::byte> value)>;

  // `reader` outlives it.
  TreeReader(const VolumeReader& reader, const format::Superblock& superblock)
      : reader_(reader), superblock_(superblock), layout_(format::Layout::of(superblock)) {}

  // Items from `first` to `last`, ascending.
  [[nodiscard]] Status scan(const format::Key& first, const format::Key& last, const Visitor& visit) const;
  // The node that `pointer` leads to, from the first of its copies that is good; the error of the last one otherwise.
  [[nodiscard]] Result<std::vector<std::byte>> read_node(const format::NodePointer& pointer) const;

 private:
  [[nodiscard]] Result<bool> scan_below(const format::NodePointer& pointer, const format::Key& first,
                                        const format::Key& last, const Visitor& visit) const;

  const VolumeReader& reader_;
  const format::Superblock superblock_;
  const format::Layout layout_;
};

// Where an entry of a node of `level` leads.
[[nodiscard]] format::NodePointer pointer_of(const format::InternalEntry& entry, std::uint8_t level) noexcept;

}  // namespace ashlar::ctl
