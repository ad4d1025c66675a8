// Which names stay, and where what has none goes.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "fsck/repair_plan.h"

namespace ashlar::fsck {
namespace {

constexpr std::uint64_t kRoot = kRootInode.value();
constexpr std::uint32_t kLostFoundMode = S_IFDIR | 0700;

class NamePlanner {
 public:
  NamePlanner(RepairPlan& plan, const format::Superblock& superblock) : plan_(plan), superblock_(superblock) {}

  void run() {
    for (std::size_t i = 0; i < plan_.names.size(); ++i) choose(i);
    cut_loops();
    count_names();
    settle_orphans();
    give_places();
    for (const InodeRecord& inode : plan_.inodes) fix_counts(inode);
    const auto goes = [](const PlannedName& name) { return !name.keep; };
    if (std::any_of(plan_.names.begin(), plan_.names.end(), goes)) plan_.changes_items = true;
  }

 private:
  using Walk = InodeRecord::Walk;

  [[nodiscard]] InodeRecord* find(std::uint64_t number) { return find_inode(plan_.inodes, number); }

  // A directory has one place: where it says it is, if there is a name for it, else its first name.
  void choose(std::size_t index) {
    PlannedName& name = plan_.names[index];
    InodeRecord* const target = find(name.target);
    name.keep = target != nullptr && name.target != kRoot;
    if (!name.keep) return;
    const auto type = static_cast<std::uint8_t>((target->mode & S_IFMT) >> 12);
    if (std::exchange(name.type, type) != type) plan_.changes_items = true;
    if (!S_ISDIR(target->mode)) return;
    const auto [place, is_first] = places_.try_emplace(name.target, index);
    if (is_first) return;
    PlannedName& before = plan_.names[place->second];
    const bool better = name.directory == target->parent && before.directory != target->parent;
    (better ? before : name).keep = false;
    if (better) place->second = index;
  }

  // Follows each directory up. One that is met again is taken out of its loop: it loses its name.
  void cut_loops() {
    std::vector<InodeRecord*> path;
    for (InodeRecord& start : plan_.inodes) {
      if (!S_ISDIR(start.mode)) continue;
      path.clear();
      InodeRecord* at = &start;
      auto place = places_.end();
      while (at != nullptr && at->walk == Walk::not_yet && at->number != kRoot) {
        at->walk = Walk::under_way;
        path.push_back(at);
        place = places_.find(at->number);
        at = place == places_.end() ? nullptr : find(plan_.names[place->second].directory);
      }
      if (at != nullptr && at->walk == Walk::under_way) {
        place = places_.find(at->number);
        plan_.names[place->second].keep = false;
        places_.erase(place);
      }
      for (InodeRecord* directory : path) directory->walk = Walk::done;
    }
  }

  void count_names() {
    for (const PlannedName& name : plan_.names) {
      if (name.keep) place(*find(name.target), name.directory);
    }
  }
  void place(InodeRecord& target, std::uint64_t directory_number) {
    InodeRecord& directory = *find(directory_number);
    ++directory.found_entries;
    ++target.names;
    if (!S_ISDIR(target.mode)) return;
    ++directory.subdirectories;
    target.found_parent = directory_number;
  }

  void settle_orphans() {
    for (const OrphanRecord& orphan : plan_.orphans) {
      InodeRecord* const inode = find(orphan.number);
      const bool unlinked = orphan.reason == format::OrphanReason::unlinked;
      if (inode == nullptr || (unlinked && (inode->names != 0 || inode->number == kRoot))) {
        plan_.dropped_orphans.insert(orphan.number);
      } else if (unlinked) {
        inode->is_orphan = true;
      }
    }
  }

  void give_places() {
    std::vector<std::uint64_t> lost;
    for (const InodeRecord& inode : plan_.inodes) {
      if (inode.names == 0 && !inode.is_orphan && inode.number != kRoot) lost.push_back(inode.number);
    }
    if (lost.empty()) return;
    ensure_lost_found();
    for (const std::uint64_t number : lost) {
      std::string name = fmt::format("#{}", number);
      while (!plan_.lost_found_names.insert(name).second) name += '~';
      add_name(plan_.lost_found, name, number);
    }
    if (made_) {
      const InodeRecord& record = *find(plan_.lost_found);
      format::InodeItem item{};
      item.mode = kLostFoundMode;
      item.links = 2 + record.subdirectories;
      item.entries = record.found_entries;
      item.parent = kRoot;
      for (format::TimeItem* time : {&item.accessed, &item.modified, &item.changed, &item.born})
        time->seconds = superblock_.written_time;
      const auto bytes = std::as_bytes(std::span(&item, 1));
      plan_.additions[{InodeNumber{record.number}, format::ItemKind::inode, 0}].assign(bytes.begin(), bytes.end());
    }
  }

  void ensure_lost_found() {
    InodeRecord* const found = find(plan_.lost_found);
    if (found != nullptr && S_ISDIR(found->mode) && found->found_parent == kRoot) return;
    made_ = true;
    plan_.lost_found_names.clear();
    InodeRecord record;
    record.number = plan_.lost_found = plan_.next_inode++;
    record.mode = kLostFoundMode;
    record.parent = kRoot;
    plan_.inodes.push_back(record);
    std::string name = "lost+found";
    while (plan_.root_names.contains(name)) name += '~';
    add_name(kRoot, name, record.number);
  }

  void add_name(std::uint64_t directory, std::string_view name, std::uint64_t target_number) {
    InodeRecord& target = *find(target_number);
    place(target, directory);
    format::DirentEntry head{};
    head.inode = target_number;
    head.name_length = static_cast<std::uint16_t>(name.size());
    head.type = static_cast<std::uint8_t>((target.mode & S_IFMT) >> 12);
    const format::Key key{InodeNumber{directory}, format::ItemKind::dirent,
                          format::hash_name(name, superblock_.hash_seed)};
    std::vector<std::byte>& value = plan_.additions[key];
    for (const auto bytes : {std::as_bytes(std::span(&head, 1)), std::as_bytes(std::span(name))})
      value.insert(value.end(), bytes.begin(), bytes.end());
  }

  void fix_counts(const InodeRecord& inode) {
    const bool is_directory = S_ISDIR(inode.mode);
    const bool is_root = inode.number == kRoot;
    const bool has_place = inode.names != 0 || is_root;
    const std::uint32_t links = !is_directory ? inode.names : (has_place ? 2 + inode.subdirectories : 0);
    if (inode.links != links) plan_.fixes[inode.number].links = links;
    if (!is_directory) return;
    const std::uint64_t parent = is_root ? kRoot : inode.found_parent;
    if (has_place && inode.parent != parent) plan_.fixes[inode.number].parent = parent;
    if (inode.entries != inode.found_entries) plan_.fixes[inode.number].entries = inode.found_entries;
  }

  RepairPlan& plan_;
  const format::Superblock& superblock_;
  std::unordered_map<std::uint64_t, std::size_t> places_;  // of directories: which name
  bool made_ = false;                                      // lost+found
};

}  // namespace

void plan_names(RepairPlan& plan, const format::Superblock& superblock) { NamePlanner(plan, superblock).run(); }

}  // namespace ashlar::fsck
