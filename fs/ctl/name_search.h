// The names that inodes go by, found by walking a mounted tree.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ashlar::ctl {

struct InodeRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // included
};

// Calls `found` for every name below `root` (not crossing into other mounts) whose inode lies in one of the ranges, in
// the order of the walk, until it returns false or cancelled() is true. Directories that cannot be read are passed
// over. Memory is in proportion to the directories still to be read.
void find_names(const std::string& root, std::vector<InodeRange> ranges,
                const std::function<bool(const std::string& path, std::uint64_t inode)>& found);

}  // namespace ashlar::ctl
