// What a repair found out about the volume's items, and what is to become of them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fsck/context.h"

namespace ashlar::fsck {

// Fields of an inode item that change.
struct InodeFix {
  std::optional<std::uint64_t> size;
  std::optional<std::uint64_t> blocks;
  std::optional<std::uint64_t> entries;
  std::optional<std::uint64_t> parent;
  std::optional<std::uint32_t> links;
  std::optional<std::uint32_t> xattrs;
};

struct PlannedName {
  std::uint64_t directory = 0;
  std::uint64_t target = 0;
  std::uint8_t type = 0;
  bool keep = true;
};

struct RepairPlan {
  // Whether what is in the tree already is all that there is to be in it.
  [[nodiscard]] bool keeps_all() const noexcept {
    return !changes_items && fixes.empty() && dropped_orphans.empty() && broken_values.empty() && additions.empty();
  }

  bool changes_items = false;  // an item or a name is dropped, or is not as it was
  GivenUp given_up;            // of Report::kMaxPaths inodes at most
  std::uint64_t next_inode = 0;
  std::vector<InodeRecord> inodes;  // ascending
  std::vector<PlannedName> names;   // as they come in the items
  std::vector<OrphanRecord> orphans;
  std::map<std::uint64_t, InodeFix> fixes;
  std::set<std::uint64_t> dropped_orphans;
  std::set<std::pair<std::uint64_t, std::uint64_t>> broken_values;  // inode and id of xattr values that are not whole
  std::map<format::Key, std::vector<std::byte>> additions;          // dirents go behind what is under their key
  std::uint64_t lost_found = 0;                                     // the directory of that name; 0: none
  std::set<std::string> root_names;
  std::set<std::string> lost_found_names;
};

// Decides which names stay, where every inode without one goes, and what all counts are then.
void plan_names(RepairPlan& plan, const format::Superblock& superblock);

}  // namespace ashlar::fsck
