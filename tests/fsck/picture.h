// What a mounted volume shows of every inode: to be compared before and after damage and repair.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/volume/rig.h"

namespace ashlar::fsck::testing {

// What is known of an inode without its names, and those.
struct Seen {
  std::string what;  // its attributes but the links, all extended attributes, and the contents of what is no directory
  bool is_directory = false;
  std::uint32_t links = 0;
  std::set<std::string> paths;
  std::set<std::uint64_t> directories;  // that hold a name of it
};
using Picture = std::map<std::uint64_t, Seen>;

// Of a mounted volume, from the root down. The contents of `unread` are not looked at.
[[nodiscard]] Picture picture_of(volume::testing::Rig& rig, InodeNumber unread = kNoInode);

}  // namespace ashlar::fsck::testing
