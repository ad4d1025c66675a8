// The tree: all its nodes and items, and the superblock's counts of them.
#include "fsck/item_checker.h"
#include "fsck/tree_walk.h"

namespace ashlar::fsck {

Status pass_tree(CheckContext& context) {
  context.reserve_records();
  ItemChecker checker(context);
  TreeWalk walk(context, [&checker](const format::Key& key, std::span<const std::byte> value) {
    return checker.take(key, value);
  });
  TRY(walk.run());
  if (context.report.is_fatal()) return {};
  checker.finish();
  TRY(walk.heal_copies());
  const format::Superblock& superblock = context.superblock;
  context.report.nodes = walk.nodes();
  if (superblock.node_count != walk.nodes())
    context.report.add(FindingId::node_count_wrong, superblock.node_count.value(), walk.nodes());
  for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) {
    if (superblock.item_count[kind] == walk.items_of(kind)) continue;
    context.report.add(FindingId::item_count_wrong, superblock.item_count[kind].value(), kind, walk.items_of(kind));
  }
  return {};
}

}  // namespace ashlar::fsck
