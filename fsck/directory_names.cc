#include "fsck/directory_names.h"

#include "fsck/tree_walk.h"

namespace ashlar::fsck {

Status read_names(CheckContext& reading, const std::function<std::optional<std::uint64_t>(std::uint64_t)>& next,
                  const NameVisitor& visit) {
  TreeWalk walk(reading, [&visit](const format::Key& key, std::span<const std::byte> value) {
    if (key.kind != format::ItemKind::dirent) return Status{};
    format::DirentCursor cursor(value, format::DirentCursor::Names::any);
    while (const std::optional<format::Dirent> entry = cursor.next()) visit(key.inode.value(), *entry);
    return Status{};
  });
  walk.look_only_at([&next](const KeyRange& range) {
    const std::optional<std::uint64_t> directory = next(range.lowest.inode.value());
    return directory && (!range.limit || *directory <= range.limit->inode.value());
  });
  return walk.run();
}

}  // namespace ashlar::fsck
