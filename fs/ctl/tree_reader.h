// Finds items in a volume's tree as of its last checkpoint.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

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

  // Items from `first` to `last`, ascending. corrupt_structure for nodes whose keys are not where their parents have
  // them, or that are more than there is room for: so this ends soon, whatever the tree looks like.
  [[nodiscard]] Status scan(const format::Key& first, const format::Key& last, const Visitor& visit) const;
  // The node that `pointer` leads to, from the first of its copies that is good; the error of the last one otherwise.
  [[nodiscard]] Result<std::vector<std::byte>> read_node(const format::NodePointer& pointer) const;

 private:
  struct Scan;
  // The keys from `lowest` up to `limit`, or to the end.
  struct Range {
    format::Key lowest = format::kLowestKey;
    std::optional<format::Key> limit;
  };
  [[nodiscard]] Result<bool> scan_below(const format::NodePointer& pointer, const Range& range, Scan& scan) const;
  template <typename Entry>
  [[nodiscard]] Status check_keys(const format::NodePointer& pointer, const Range& range,
                                  std::span<const Entry> entries) const;
  // Whether to go on behind it.
  [[nodiscard]] static bool scan_leaf(std::span<const std::byte> node, const Scan& scan);
  [[nodiscard]] tl::unexpected<Error> corrupt(const format::NodePointer& pointer, std::string_view what) const;

  const VolumeReader& reader_;
  const format::Superblock superblock_;
  const format::Layout layout_;
};

// Where an entry of a node of `level` leads.
[[nodiscard]] format::NodePointer pointer_of(const format::InternalEntry& entry, std::uint8_t level) noexcept;

}  // namespace ashlar::ctl
