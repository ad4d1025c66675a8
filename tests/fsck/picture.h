// What a mounted volume shows of every inode: to be compared before and after damage and repair.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/volume/rig.h"

namespace ashlar::fsck::testing {

// What is known of an inode without its name, and its names.
struct Seen {
  std::string what;
  std::set<std::string> paths;
  std::set<std::uint64_t> directories;  // that hold a name of it
};
using Picture = std::map<std::uint64_t, Seen>;

// Of a mounted volume, from the root down. The contents of `unread` are not looked at.
[[nodiscard]] Picture picture_of(volume::testing::Rig& rig, InodeNumber unread = kNoInode);

}  // namespace ashlar::fsck::testing
