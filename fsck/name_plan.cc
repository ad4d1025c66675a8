#include "fsck/name_plan.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "fsck/free_names.h"

namespace ashlar::fsck {
namespace {

constexpr std::uint32_t kLostFoundMode = S_IFDIR | 0700;
// A name in lost+found brings other links and another parent to what it leads to, and other links and entries to
// lost+found; a directory that loses its name brings that, and other links and entries to where it was.
constexpr std::uint64_t kNameBrings = 4;
constexpr std::uint64_t kLossBrings = 1 + kNameBrings + 2;

class NamePlanner {
 public:
  NamePlanner(CheckContext& context, RepairPlan& plan, const PlanReaders& readers)
      : context_(context), plan_(plan), readers_(readers) {}

  [[nodiscard]] Status run() {
    plan_window();
    while (context_.next_window()) {
      TRY(readers_.window(context_));
      plan_window();
    }
    // All that is known of directories is known only now.
    cut_loops();
    for (const OrphanRecord& orphan : context_.orphans) {
      InodeRecord* const inode = find(orphan.number);
      if (inode != nullptr && S_ISDIR(inode->mode)) settle(orphan, *inode);
    }
    for (const InodeRecord& inode : context_.inodes) {
      if (is_lost(inode)) put_on_list(inode);
    }
    TRY(give_places());
    for (const InodeRecord& inode : context_.inodes) fix_directory(inode);
    return {};
  }

 private:
  using Walk = InodeRecord::Walk;
  // Without a name, and to be given one.
  struct Lost {
    std::uint64_t number = 0;
    std::uint32_t mode = 0;
    std::uint32_t links = 0;
  };

  [[nodiscard]] InodeRecord* find(std::uint64_t number) { return find_inode(context_.inodes, number); }
  [[nodiscard]] static bool is_lost(const InodeRecord& inode) {
    return S_ISDIR(inode.mode) && inode.names == 0 && !inode.is_orphan && inode.number != kRootNumber;
  }
  [[nodiscard]] static std::uint8_t type_of(std::uint32_t mode) {
    return static_cast<std::uint8_t>((mode & S_IFMT) >> 12);
  }

  void plan_window() {
    for (const NameRecord& name : context_.names) choose(name);
    for (const NameRecord& name : context_.names) count(name);
    for (const OrphanRecord& orphan : context_.orphans) {
      if (!context_.window.holds(orphan.number)) continue;
      InodeRecord* const inode = find(orphan.number);
      if (inode == nullptr) {
        drop(orphan);
      } else if (!S_ISDIR(inode->mode)) {
        settle(orphan, *inode);
      }
    }
    for (const InodeRecord& inode : context_.inodes) {
      if (!S_ISDIR(inode.mode)) fix_file(inode);
    }
  }

  // A directory has one place: where it says it is, if there is a name for it, else its first name.
  void choose(const NameRecord& name) {
    InodeRecord* const target = find(name.target);
    if (target == nullptr || name.target == kRootNumber) {
      if (NameFix* const fix = plan_.name_fix_of(name.target)) fix->gone = true;
      return;
    }
    if (name.type != type_of(target->mode)) {
      if (NameFix* const fix = plan_.name_fix_of(name.target)) fix->type = type_of(target->mode);
    }
    if (!S_ISDIR(target->mode)) return;
    ++target->names;
    const bool is_better = name.directory == target->parent && target->found_parent != target->parent;
    if (target->names == 1 || is_better) target->found_parent = name.directory;
    if (target->names == 1) return;
    if (NameFix* const fix = plan_.name_fix_of(name.target)) fix->only_in = target->found_parent;
  }

  void count(const NameRecord& name) {
    InodeRecord* const target = find(name.target);
    if (target == nullptr || name.target == kRootNumber) return;
    if (!S_ISDIR(target->mode)) {
      ++target->names;
      ++find(name.directory)->found_entries;
    } else if (!target->is_placed && name.directory == target->found_parent) {
      target->names = 0;  // those that do not stay
      place(*target, name.directory);
    }
  }
  void place(InodeRecord& target, std::uint64_t directory_number) {
    InodeRecord& directory = *find(directory_number);
    ++directory.found_entries;
    ++directory.subdirectories;
    target.names = 1;
    target.found_parent = directory_number;
    target.is_placed = true;
  }

  // Follows each directory up. One that is met again is taken out of its loop: it loses its name.
  void cut_loops() {
    std::vector<InodeRecord*> path;
    for (InodeRecord& start : context_.inodes) {
      if (!S_ISDIR(start.mode)) continue;
      path.clear();
      InodeRecord* at = &start;
      while (at != nullptr && at->walk == Walk::not_yet && at->number != kRootNumber) {
        at->walk = Walk::under_way;
        path.push_back(at);
        at = at->names == 0 ? nullptr : find(at->found_parent);
      }
      if (at != nullptr && at->walk == Walk::under_way) take_out(*at);
      for (InodeRecord* directory : path) directory->walk = Walk::done;
    }
  }
  void take_out(InodeRecord& directory) {
    NameFix* const fix = plan_.name_fix_of(directory.number, kLossBrings);
    if (fix == nullptr) return;
    fix->gone = true;
    InodeRecord& parent = *find(directory.found_parent);
    --parent.found_entries;
    --parent.subdirectories;
    directory.names = 0;
    directory.found_parent = 0;
  }

  void drop(const OrphanRecord& orphan) {
    if (plan_.admit()) plan_.dropped_orphans.insert(orphan.number);
  }
  void settle(const OrphanRecord& orphan, InodeRecord& inode) {
    if (orphan.reason != format::OrphanReason::unlinked) return;
    if (inode.names != 0 || inode.number == kRootNumber) {
      drop(orphan);
    } else {
      inode.is_orphan = true;
    }
  }

  void fix_file(const InodeRecord& inode) {
    if (inode.names == 0 && !inode.is_orphan) return put_on_list(inode);
    fix_links(inode.number, inode.links, inode.names);
  }
  void fix_links(std::uint64_t number, std::uint32_t said, std::uint32_t links) {
    if (said == links) return;
    if (InodeFix* const fix = plan_.fix_of(number)) fix->links = links;
  }

  void put_on_list(const InodeRecord& inode) {
    if (plan_.admit(kNameBrings)) lost_.push_back({inode.number, inode.mode, inode.links});
  }

  [[nodiscard]] Status give_places() {
    if (lost_.empty()) return {};
    std::sort(lost_.begin(), lost_.end(), [](const Lost& a, const Lost& b) { return a.number < b.number; });
    const InodeRecord* const found = find(plan_.lost_found);
    const bool is_there = found != nullptr && S_ISDIR(found->mode) && found->found_parent == kRootNumber;
    const bool is_new = !is_there && plan_.next_inode < format::kInodeNumberLimit;
    // Without a number for it, the root has to do.
    if (!is_there && !is_new) plan_.lost_found = kRootNumber;
    FreeNames free_names;
    for (const Lost& lost : lost_) free_names.want(name_of(lost));
    FreeNames root_names;
    root_names.want(std::string(kLostFound));
    const std::uint64_t lost_found = plan_.lost_found;
    TRY(readers_.names_in({kRootNumber, lost_found}, [&](std::uint64_t directory, const format::Dirent& entry) {
      if (directory == kRootNumber) root_names.note(entry.name);
      if (directory == lost_found) free_names.note(entry.name);
    }));
    if (is_new) {
      free_names.forget_notes();
      const std::string name = root_names.choose(std::string(kLostFound));
      if (name.empty()) return {};
      make_lost_found(name);
    }
    for (const Lost& lost : lost_) {
      const std::string name = free_names.choose(name_of(lost));
      if (name.empty()) continue;
      add_name(plan_.lost_found, name, lost.number, lost.mode);
      if (!S_ISDIR(lost.mode)) fix_links(lost.number, lost.links, 1);
    }
    if (is_new) write_lost_found();
    return {};
  }

  [[nodiscard]] static std::string name_of(const Lost& lost) { return fmt::format("#{}", lost.number); }

  void make_lost_found(const std::string& name) {
    InodeRecord record;
    record.number = made_ = plan_.lost_found = plan_.next_inode++;
    record.mode = kLostFoundMode;
    record.parent = kRootNumber;
    context_.inodes.push_back(record);
    add_name(kRootNumber, name, record.number, record.mode);
  }
  void write_lost_found() {
    const InodeRecord& record = *find(made_);
    format::InodeItem item{};
    item.mode = kLostFoundMode;
    item.links = 2 + record.subdirectories;
    item.entries = record.found_entries;
    item.parent = kRootNumber;
    for (format::TimeItem* time : {&item.accessed, &item.modified, &item.changed, &item.born})
      time->seconds = context_.superblock.written_time;
    const auto bytes = std::as_bytes(std::span(&item, 1));
    plan_.additions[{InodeNumber{made_}, format::ItemKind::inode, 0}].assign(bytes.begin(), bytes.end());
  }

  void add_name(std::uint64_t directory, std::string_view name, std::uint64_t target, std::uint32_t mode) {
    if (S_ISDIR(mode)) {
      place(*find(target), directory);
    } else {
      ++find(directory)->found_entries;
    }
    format::DirentEntry head{};
    head.inode = target;
    head.name_length = static_cast<std::uint16_t>(name.size());
    head.type = type_of(mode);
    const format::Key key{InodeNumber{directory}, format::ItemKind::dirent,
                          format::hash_name(name, context_.superblock.hash_seed)};
    std::vector<std::byte>& value = plan_.additions[key];
    for (const auto bytes : {std::as_bytes(std::span(&head, 1)), std::as_bytes(std::span(name))})
      value.insert(value.end(), bytes.begin(), bytes.end());
  }

  void fix_directory(const InodeRecord& inode) {
    // One whose place was put off is looked at when it has one.
    if (!S_ISDIR(inode.mode) || inode.number == made_ || is_lost(inode)) return;
    const bool is_root = inode.number == kRootNumber;
    const bool has_place = inode.names != 0 || is_root;
    fix_links(inode.number, inode.links, has_place ? 2 + inode.subdirectories : 0);
    const std::uint64_t parent = is_root ? kRootNumber : inode.found_parent;
    if (has_place && inode.parent != parent) {
      if (InodeFix* const fix = plan_.fix_of(inode.number)) fix->parent = parent;
    }
    if (inode.entries == inode.found_entries) return;
    if (InodeFix* const fix = plan_.fix_of(inode.number)) fix->entries = inode.found_entries;
  }

  CheckContext& context_;
  RepairPlan& plan_;
  const PlanReaders& readers_;
  std::vector<Lost> lost_;
  std::uint64_t made_ = 0;  // the number of a new lost+found
};

}  // namespace

Status plan_names(CheckContext& context, RepairPlan& plan, const PlanReaders& readers) {
  return NamePlanner(context, plan, readers).run();
}

}  // namespace ashlar::fsck
