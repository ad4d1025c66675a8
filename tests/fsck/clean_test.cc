// Volumes of all kinds of content, in every state that is no damage, have no findings but notes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/falloc.h>

#include "tests/fsck/sample_volume.h"

namespace ashlar::fsck::testing {
namespace {

using volume::testing::pattern;

class Clean : public ::testing::TestWithParam<Geometry> {
 protected:
  void expect_clean(Rig& rig, const Names& notes = {}) {
    CheckOptions options;
    options.data = true;
    const Report report = check(rig.device(), options);
    EXPECT_TRUE(report.is_clean());
    EXPECT_EQ(names_of(report), notes);
    for (const Finding& finding : report.findings()) {
      if (kind_of(finding.id).severity != Severity::note) ADD_FAILURE() << finding.text;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Geometries, Clean,
                         ::testing::Values(volume::testing::kSmallNodes, volume::testing::kMiddleNodes,
                                           volume::testing::kLargeNodes));

TEST_P(Clean, Empty) {
  Rig rig(GetParam());
  rig.unmount();
  expect_clean(rig);
}

TEST_P(Clean, SomeOfEverything) {
  SampleVolume sample(GetParam());
  expect_clean(sample.rig);
  const Report report = check(sample.device());
  EXPECT_EQ(report.directories, SampleVolume::kDirectories);
  EXPECT_EQ(report.inodes, SampleVolume::kInodes);
}

TEST_P(Clean, ALogToBeReplayed) {
  SampleVolume sample(GetParam());
  Rig& rig = sample.rig;
  rig.mount();
  rig.truncate(sample.file, 100);
  rig.write(sample.other, 5000, pattern(60'000, 9));
  rig.write(sample.small, 0, pattern(30'000, 9));  // no longer inline
  EXPECT_TRUE(rig.volume().unlink(rig.context(), sample.directory, "x"));
  const InodeNumber added = rig.make_directory(sample.left, "added");
  rig.write(rig.make_file(added, "f"), 1'000'000, pattern(10'000, 4));
  EXPECT_TRUE(rig.volume().rename(rig.context(), sample.directory, "right", added, "moved", 0));
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  expect_clean(rig, {"log_not_empty"});
  rig.mount();
  rig.unmount();
  expect_clean(rig);
}

TEST_P(Clean, RemovedWhileOpen) {
  SampleVolume sample(GetParam());
  Rig& rig = sample.rig;
  rig.mount();
  ASSERT_EQ(rig.hold(sample.directory, "sparse"), sample.sparse);
  ASSERT_EQ(rig.hold(sample.directory, "x"), sample.xattr_owner);
  ASSERT_EQ(rig.hold(sample.directory, "left"), sample.left);
  EXPECT_TRUE(rig.volume().unlink(rig.context(), sample.directory, "sparse"));
  EXPECT_TRUE(rig.volume().unlink(rig.context(), sample.directory, "x"));
  EXPECT_TRUE(rig.volume().remove_directory(rig.context(), sample.directory, "left"));
  EXPECT_TRUE(rig.volume().store().checkpoint(rig.io()));
  rig.crash();
  expect_clean(rig, {"orphan_waits"});
}

// The removal is cut off after each of its transactions in turn.
TEST_P(Clean, WhileBeingRemoved) {
  SampleVolume sample(GetParam());
  Rig& rig = sample.rig;
  rig.mount();
  EXPECT_TRUE(rig.volume().unlink(rig.context(), sample.directory, "sparse"));
  EXPECT_TRUE(rig.volume().unlink(rig.context(), sample.directory, "x"));
  EXPECT_TRUE(rig.volume().unlink(rig.context(), sample.directory, "long link"));
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  const Report report = check(rig.device());
  EXPECT_TRUE(report.is_clean()) << (report.findings().empty() ? "" : report.findings().back().text);
}

TEST_P(Clean, PreallocatedPastTheEnd) {
  SampleVolume sample(GetParam());
  Rig& rig = sample.rig;
  rig.mount();
  EXPECT_TRUE(rig.volume().allocate(rig.context(), sample.file, FALLOC_FL_KEEP_SIZE, 100'000, 500'000));
  EXPECT_TRUE(rig.volume().allocate(rig.context(), sample.small, FALLOC_FL_KEEP_SIZE, 0, 500'000));
  EXPECT_TRUE(
      rig.volume().allocate(rig.context(), sample.other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 9000));
  rig.write(sample.file, 200'000, "in the middle of it");
  rig.truncate(sample.file, 150'000);
  rig.unmount();
  expect_clean(rig);
}

TEST_P(Clean, LargestAttributes) {
  Rig rig(GetParam());
  const InodeNumber file = rig.make_file(kRootInode, "f");
  for (unsigned i = 0; i < 4; ++i) {
    const std::string value = pattern(i % 2 == 0 ? format::kMaxXattrValue : 5000, i);
    EXPECT_TRUE(
        rig.volume().set_xattr(rig.context(), file, "user." + std::to_string(i), std::as_bytes(std::span(value)), 0));
  }
  EXPECT_TRUE(rig.volume().remove_xattr(rig.context(), file, "user.0"));
  rig.unmount();
  expect_clean(rig);
}

TEST_P(Clean, ManyLinksAndDeepDirectories) {
  Rig rig(GetParam());
  const InodeNumber file = rig.make_file(kRootInode, "f");
  InodeNumber at = kRootInode;
  for (int depth = 0; depth < 300; ++depth) {
    at = rig.make_directory(at, "down");
    EXPECT_TRUE(rig.volume().link(rig.context(), file, at, "link"));
  }
  EXPECT_TRUE(rig.volume().rename(rig.context(), kRootInode, "f", at, "link", 0));  // both are the same: nothing to do
  EXPECT_TRUE(rig.volume().unlink(rig.context(), kRootInode, "f"));
  rig.unmount();
  expect_clean(rig);
}

TEST_P(Clean, UnnamedFiles) {
  Rig rig(GetParam());
  const auto unnamed = rig.volume().make_unnamed(rig.context(), kRootInode, {S_IFREG | 0600, 0});
  ASSERT_TRUE(unnamed);
  rig.write(unnamed->inode, 0, pattern(100'000, 1));
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  expect_clean(rig, {"log_not_empty", "orphan_waits"});
}

}  // namespace
}  // namespace ashlar::fsck::testing
