#include <gtest/gtest.h>

#include "fs/base/terminal_progress.h"

namespace ashlar {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

TEST(ProgressTextTest, BytesRateAndTimeLeft) {
  EXPECT_EQ(progress_text("scrub", {0.25, 256 * kMiB, 1024 * kMiB}, 2.0),
            "scrub: 25.0 %, 256 MiB of 1 GiB at 128 MiB/s, 0:06 left");
  EXPECT_EQ(progress_text("scrub", {0.5, 5 * kMiB, 10 * kMiB}, 3723.0),
            "scrub: 50.0 %, 5 MiB of 10 MiB at 1.37 KiB/s, 1:02:03 left");
}

TEST(ProgressTextTest, WhatIsNotKnownIsLeftOut) {
  EXPECT_EQ(progress_text("names", {0.5, 0, 0}, 10.0), "names: 50.0 %, 0:10 left");
  EXPECT_EQ(progress_text("names", {0, 0, 0}, 10.0), "names: 0.0 %");
  EXPECT_EQ(progress_text("tree", {0.0001, kMiB, 0}, 1.0), "tree: 0.0 %, 1 MiB at 1 MiB/s");
  EXPECT_EQ(progress_text("tree", {0.5, kMiB, 2 * kMiB}, 0.0), "tree: 50.0 %, 1 MiB of 2 MiB");
}

TEST(ProgressTextTest, MoreThanExpected) {
  EXPECT_EQ(progress_text("map", {1.5, 3 * kMiB, 2 * kMiB}, 1.0), "map: 100.0 %, 3 MiB of 3 MiB at 3 MiB/s, 0:00 left");
}

}  // namespace
}  // namespace ashlar
