#include "fs/format/places.h"

namespace ashlar::format {

Status check_node_places(const Layout& layout, const BlockNumber (&address)[kCopies]) {
  const auto corrupt = [](std::string_view what) { return fail(ErrorCode::corrupt_structure, std::string(what)); };
  const std::uint64_t node_blocks = layout.node_blocks();
  for (const BlockNumber first : address) {
    if (first.value() > layout.block_count() - node_blocks) return corrupt("past the volume's end");
    if (layout.touches_fixed(BlockRun{first, node_blocks})) return corrupt("over a fixed part");
  }
  static_assert(kCopies == 2);
  const std::uint64_t distance = address[0] < address[1] ? address[1] - address[0] : address[0] - address[1];
  if (distance < node_blocks) return corrupt("over its other copy");
  return {};
}

BlockNumber log_block(const Layout& layout, Lsn lsn) noexcept {
  return layout.log().first + lsn.value() / layout.block_size() % layout.log().count;
}

}  // namespace ashlar::format
