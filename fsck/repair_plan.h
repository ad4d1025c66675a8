// What a repair found out about the volume's items, and what is to become of them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "fsck/context.h"

namespace ashlar::fsck {

// Where what has no name gets one.
inline constexpr std::string_view kLostFound = "lost+found";

// Fields of an inode item that change.
struct InodeFix {
  std::optional<std::uint64_t> size;
  std::optional<std::uint64_t> blocks;
  std::optional<std::uint64_t> entries;
  std::optional<std::uint64_t> parent;
  std::optional<std::uint32_t> links;
  std::optional<std::uint32_t> xattrs;
};

// What becomes of all names that lead to one inode.
struct NameFix {
  bool gone = false;                     // none stays
  std::optional<std::uint8_t> type;      // that they all have then
  std::optional<std::uint64_t> only_in;  // the first one in this directory is the only one that stays
  bool met = false;                      // that one, while items are handed on
};

// Where things differ from what they are to be: no more than `most_changes` at a time, some 250 bytes each, so that
// memory stays within bounds whatever is wrong. What was put off stays as it is, to be found again by the next repair.
class RepairPlan {
 public:
  explicit RepairPlan(std::size_t most_changes) : most_changes_(most_changes) {}

  // Null when the change is put off.
  [[nodiscard]] InodeFix* fix_of(std::uint64_t inode) { return change(fixes_, inode); }
  [[nodiscard]] NameFix* name_fix_of(std::uint64_t target, std::uint64_t brings = 0) {
    return change(name_fixes_, target, brings);
  }
  // Whether there is room for one more change; it counts then. `brings`: others that there can be because of it.
  [[nodiscard]] bool admit(std::uint64_t brings = 0) {
    if (changes_ == most_changes_) {
      put_off_ += 1 + brings;
      return false;
    }
    ++changes_;
    return true;
  }
  // Changes, with all that they may bring: what is put off by one repair after the other becomes less.
  [[nodiscard]] std::uint64_t put_off() const noexcept { return put_off_; }

  [[nodiscard]] const InodeFix* planned_for(std::uint64_t inode) const {
    const auto found = fixes_.find(inode);
    return found == fixes_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] NameFix* planned_for_names(std::uint64_t target) {
    const auto found = name_fixes_.find(target);
    return found == name_fixes_.end() ? nullptr : &found->second;
  }

  // Whether what is in the tree already is all that there is to be in it.
  [[nodiscard]] bool keeps_all() const noexcept { return !changes_items && changes_ == 0; }

  bool changes_items = false;  // an item is dropped, or is not as it was
  GivenUp given_up;            // of Report::kMaxPaths inodes at most
  std::uint64_t next_inode = 0;
  std::uint64_t lost_found = 0;                                     // where that name in the root leads; 0: nowhere
  std::set<std::uint64_t> dropped_orphans;                          // admitted, as all that follows
  std::set<std::pair<std::uint64_t, std::uint64_t>> broken_values;  // inode and id of xattr values that are not whole
  std::map<format::Key, std::vector<std::byte>> additions;          // dirents go behind what is under their key

 private:
  template <typename Fix>
  [[nodiscard]] Fix* change(std::map<std::uint64_t, Fix>& fixes, std::uint64_t number, std::uint64_t brings = 0) {
    const auto found = fixes.find(number);
    if (found != fixes.end()) return &found->second;
    return admit(brings) ? &fixes[number] : nullptr;
  }

  std::size_t most_changes_;
  std::size_t changes_ = 0;
  std::uint64_t put_off_ = 0;
  std::map<std::uint64_t, InodeFix> fixes_;
  std::map<std::uint64_t, NameFix> name_fixes_;
};

}  // namespace ashlar::fsck
