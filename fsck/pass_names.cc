// Names against inodes: where every name leads, how many lead to each inode, and whether all lead down from the root.
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <span>

#include "fsck/tree_walk.h"

namespace ashlar::fsck {
namespace {

void count_name(CheckContext& context, const NameRecord& name) {
  Report& report = context.report;
  InodeRecord* const directory = find_inode(context.inodes, name.directory);
  InodeRecord* const target = find_inode(context.inodes, name.target);
  if (target == nullptr) return report.add(FindingId::name_dangling, name.directory, name.target);
  if (name.type != (target->mode & S_IFMT) >> 12) report.add(FindingId::name_type_wrong, name.directory, name.target);
  ++target->names;
  if (!S_ISDIR(target->mode)) return;
  if (directory != nullptr) ++directory->subdirectories;
  if (target->names > 1 || name.target == kRootNumber)
    return report.add(FindingId::directory_linked_twice, name.target);
  target->found_parent = name.directory;
  if (target->parent != name.directory)
    report.add(FindingId::parent_wrong, name.target, target->parent, name.directory);
}

void mark_orphans(CheckContext& context) {
  for (const OrphanRecord& orphan : context.orphans) {
    if (!context.window.holds(orphan.number)) continue;
    InodeRecord* const inode = find_inode(context.inodes, orphan.number);
    if (inode == nullptr) {
      context.report.add(FindingId::orphan_dangling, orphan.number);
    } else if (orphan.reason == format::OrphanReason::unlinked) {
      inode->is_orphan = true;
      const bool named = inode->links != 0 || inode->names != 0;
      context.report.add(named ? FindingId::orphan_named : FindingId::orphan_waits, orphan.number);
    }
  }
}

void check_links(CheckContext& context, const InodeRecord& inode) {
  Report& report = context.report;
  const bool is_directory = S_ISDIR(inode.mode);
  const bool has_place = inode.names != 0 || inode.number == kRootNumber;
  if (!has_place && !inode.is_orphan) report.add(FindingId::unreachable, inode.number);
  if (inode.number == kRootNumber && inode.parent != kRootNumber)
    report.add(FindingId::parent_wrong, kRootNumber, inode.parent, kRootNumber);
  const std::uint64_t links = is_directory ? (has_place ? 2 + std::uint64_t{inode.subdirectories} : 0) : inode.names;
  if (inode.links != links) report.add(FindingId::link_count_wrong, inode.number, inode.links, links);
}

// Follows each directory up until one that was followed before. Every directory is followed once, so this ends.
void check_loops(CheckContext& context) {
  using Walk = InodeRecord::Walk;
  std::vector<InodeRecord*> path;
  for (InodeRecord& start : context.inodes) {
    if (!S_ISDIR(start.mode)) continue;
    path.clear();
    InodeRecord* at = &start;
    while (at != nullptr && at->walk == Walk::not_yet && at->number != kRootNumber && at->names != 0) {
      at->walk = Walk::under_way;
      path.push_back(at);
      at = find_inode(context.inodes, at->found_parent);
    }
    if (at != nullptr && at->walk == Walk::under_way) context.report.add(FindingId::directory_loop, start.number);
    for (InodeRecord* directory : path) directory->walk = Walk::done;
  }
}

// Where to find the names of what has findings, as long as they are in memory.
void remember_places(CheckContext& context) {
  std::set<std::uint64_t> wanted = context.report.inodes_found();
  wanted.insert(context.options.also_name.begin(), context.options.also_name.end());
  if (wanted.empty()) return;
  for (const NameRecord& name : context.names) {
    if (wanted.contains(name.target)) context.places.try_emplace(name.target, name.directory);
  }
}

void check_window(CheckContext& context) {
  for (const NameRecord& name : context.names) count_name(context, name);
  mark_orphans(context);
  for (const InodeRecord& inode : context.inodes) {
    if (!S_ISDIR(inode.mode)) check_links(context, inode);
  }
  remember_places(context);
}

// What the tree pass did not remember; it told all there was to tell of the items themselves.
Status read_window(CheckContext& context) {
  CheckContext reading = context.to_read_again();
  // Windows grow with the numbers; how many there will be is not known.
  const double numbers = static_cast<double>(std::max<std::uint64_t>(context.next_inode, 1));
  const double from = std::min(1.0, static_cast<double>(context.window.first) / numbers);
  reading.begin_progress({Pass::names, from, 1.0});
  const std::size_t directories = context.inodes.size();
  TreeWalk walk(reading, [&context](const format::Key& key, std::span<const std::byte> value) {
    if (key.kind == format::ItemKind::inode && key.offset == 0) {
      const Result<format::InodeItem> item = format::parse_inode(value);
      if (item && !S_ISDIR(item->mode)) context.remember(record_of(key.inode, *item));
    } else if (key.kind == format::ItemKind::dirent) {
      format::DirentCursor cursor(value, format::DirentCursor::Names::any);
      while (const std::optional<format::Dirent> entry = cursor.next())
        context.remember(NameRecord{key.inode.value(), entry->inode.value(), entry->type});
    }
    return Status{};
  });
  TRY(walk.run());
  context.merge_inodes(directories);
  return {};
}

}  // namespace

// No number comes twice, so there are no more records below and above one than there are numbers: where most numbers
// are in use, little is left to search.
InodeRecord* find_inode(std::vector<InodeRecord>& inodes, std::uint64_t number) noexcept {
  if (inodes.empty() || number < inodes.front().number || number > inodes.back().number) return nullptr;
  const std::size_t last = inodes.size() - 1;
  const std::size_t lowest = last - std::min<std::uint64_t>(inodes.back().number - number, last);
  const std::size_t highest = std::min<std::uint64_t>(number - inodes.front().number, last);
  const std::span candidates = std::span(inodes).first(std::max(highest, lowest)).subspan(lowest);
  const auto found =
      std::lower_bound(candidates.begin(), candidates.end(), number,
                       [](const InodeRecord& record, std::uint64_t wanted) { return record.number < wanted; });
  InodeRecord& record = inodes[lowest + static_cast<std::size_t>(found - candidates.begin())];
  return record.number == number ? &record : nullptr;
}

Status pass_names(CheckContext& context) {
  const InodeRecord* const root = find_inode(context.inodes, kRootNumber);
  if (root == nullptr || !S_ISDIR(root->mode)) {
    context.report.add(FindingId::root_missing);
    return {};
  }
  check_window(context);
  while (context.next_window()) {
    TRY(read_window(context));
    check_window(context);
  }
  // Only now their subdirectories are all counted.
  for (const InodeRecord& inode : context.inodes) {
    if (S_ISDIR(inode.mode)) check_links(context, inode);
  }
  check_loops(context);
  return {};
}

}  // namespace ashlar::fsck
