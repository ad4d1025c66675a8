#include "fs/ctl/dump_items.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "fs/base/standard_streams.h"
#include "fs/ctl/item_text.h"
#include "fs/ctl/tree_reader.h"
#include "fs/format/items.h"

namespace ashlar::ctl {
namespace {

constexpr std::uint64_t kLastOffset = std::numeric_limits<std::uint64_t>::max();

Result<std::uint64_t> look_up(const TreeReader& tree, const format::Superblock& superblock, std::uint64_t directory,
                              std::string_view name) {
  const format::Key key{InodeNumber{directory}, format::ItemKind::dirent,
                        format::hash_name(name, superblock.hash_seed)};
  std::optional<std::uint64_t> found;
  TRY(tree.scan(key, key, [&](const format::Key& at, std::span<const std::byte> value) {
    format::DirentCursor cursor(value);
    while (const auto entry = cursor.next()) {
      if (entry->name != name) continue;
      found = entry->inode.value();
      print("{} -> inode {}\n", key_text(at), *found);
    }
    return true;
  }));
  if (!found) return fail(ErrorCode::not_found);
  return *found;
}

}  // namespace

Status dump_inode(const VolumeReader& reader, const format::Superblock& superblock, std::uint64_t number) {
  const TreeReader tree(reader, superblock);
  const InodeNumber inode{number};
  bool any = false;
  TRY(tree.scan({inode, format::ItemKind{0}, 0}, {inode, format::ItemKind{0xff}, kLastOffset},
                [&](const format::Key& key, std::span<const std::byte> value) {
                  print("{} {}\n", key_text(key), value_text(key, value, superblock.block_count));
                  any = true;
                  return true;
                }));
  if (any) return {};
  return fail(ErrorCode::not_found,
              fmt::format("{}: there is no inode {} as of the last checkpoint", reader.path(), number));
}

Status dump_path(const VolumeReader& reader, const format::Superblock& superblock, const std::string& path) {
  const TreeReader tree(reader, superblock);
  std::uint64_t at = kRootInode.value();
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (name.empty()) continue;
    Result<std::uint64_t> next = look_up(tree, superblock, at, name);
    if (!next && next.error().code() == ErrorCode::not_found) {
      return fail(ErrorCode::not_found,
                  fmt::format("{}: there is no {} as of the last checkpoint", reader.path(), in_quotes(path)));
    }
    if (!next) return fail(std::move(next).error());
    at = *next;
  }
  return dump_inode(reader, superblock, at);
}

}  // namespace ashlar::ctl
