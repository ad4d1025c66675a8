// Which mount a path belongs to.
#include "fs/ctl/mount_lookup.h"

#include <gtest/gtest.h>

namespace ashlar::ctl {
namespace {

TEST(MountLookup, PathsInADirectory) {
  EXPECT_TRUE(is_in_directory("/mnt/volume", "/mnt/volume"));
  EXPECT_TRUE(is_in_directory("/mnt/volume/a", "/mnt/volume"));
  EXPECT_TRUE(is_in_directory("/mnt/volume/a/b", "/mnt/volume"));
  EXPECT_FALSE(is_in_directory("/mnt/volume2", "/mnt/volume"));
  EXPECT_FALSE(is_in_directory("/mnt", "/mnt/volume"));
  EXPECT_FALSE(is_in_directory("/", "/mnt/volume"));
}

TEST(MountLookup, AllPathsAreInTheRoot) {
  EXPECT_TRUE(is_in_directory("/", "/"));
  EXPECT_TRUE(is_in_directory("/home", "/"));
  EXPECT_TRUE(is_in_directory("/home/alice", "/"));
}

TEST(MountLookup, WhatLiesElsewhereIsInNoVolume) {
  // Whatever is mounted as the root, /proc is not of it.
  const auto found = find_mount_point("/proc/self");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::not_found);
}

}  // namespace
}  // namespace ashlar::ctl
