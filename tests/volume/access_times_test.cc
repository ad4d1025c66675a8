// When reading moves access times, and when those reach the tree.
#include <linux/fs.h>

#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr time_t kStart = 1'000'000;
constexpr time_t kDay = 24L * 60 * 60;

VolumeOptions with(AccessTimes policy, bool no_directories = false) {
  VolumeOptions options = Rig::quiet_options();
  options.access_times = policy;
  options.no_directory_access_times = no_directories;
  return options;
}

class AccessTimesTest : public ::testing::Test {
 protected:
  explicit AccessTimesTest(AccessTimes policy = AccessTimes::relative, bool no_directories = false)
      : rig(kMiddleNodes, with(policy, no_directories)) {
    at(kStart);
    file = rig.make_file(kRootInode, "file");
  }
  void at(time_t seconds) { rig.context().now = {seconds, 5}; }
  // Seconds of the access time after somebody read at `seconds`.
  time_t after_reading(InodeNumber inode, time_t seconds) {
    at(seconds);
    rig.volume().accessed(rig.context(), inode);
    return rig.stat(inode).accessed.tv_sec;
  }
  [[nodiscard]] std::uint64_t commits() { return rig.volume().store().stats().log.records; }

  Rig rig;
  InodeNumber file;
};

struct Never : AccessTimesTest {
  Never() : AccessTimesTest(AccessTimes::never) {}
};
TEST_F(Never, NothingMoves) {
  EXPECT_FALSE(rig.volume().reading_moves_access_time(rig.context(), file));
  EXPECT_EQ(after_reading(file, kStart + 10), kStart);
}

struct Always : AccessTimesTest {
  Always() : AccessTimesTest(AccessTimes::always) {}
};
TEST_F(Always, EveryTime) {
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
  EXPECT_EQ(after_reading(file, kStart + 11), kStart + 11);
  EXPECT_EQ(after_reading(kRootInode, kStart + 12), kStart + 12);
}

TEST_F(AccessTimesTest, RelativeToTheOtherTimes) {
  // mount(8), relatime: the access time is moved when it is not later than the modification or the change time ...
  EXPECT_TRUE(rig.volume().reading_moves_access_time(rig.context(), file));
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
  EXPECT_FALSE(rig.volume().reading_moves_access_time(rig.context(), file));
  EXPECT_EQ(after_reading(file, kStart + 20), kStart + 10);
  rig.write(file, 0, "contents");
  EXPECT_EQ(after_reading(file, kStart + 30), kStart + 30);
  AttributeChange mode;
  mode.fields = AttributeChange::mode_field;
  mode.mode = 0600;
  ASSERT_TRUE(rig.volume().set_attributes(rig.context(), file, mode));
  EXPECT_EQ(after_reading(file, kStart + 40), kStart + 40);
  // ... or a day old.
  EXPECT_EQ(after_reading(file, kStart + 40 + kDay - 1), kStart + 40);
  EXPECT_EQ(after_reading(file, kStart + 40 + kDay), kStart + 40 + kDay);
}

TEST_F(AccessTimesTest, FilesCanBeExempt) {
  ASSERT_TRUE(rig.volume().set_inode_flags(rig.context(), file, FS_NOATIME_FL));
  EXPECT_EQ(after_reading(file, kStart + 10), kStart);
}

struct NoDirectories : AccessTimesTest {
  NoDirectories() : AccessTimesTest(AccessTimes::always, true) {}
};
TEST_F(NoDirectories, OnlyFiles) {
  const time_t before = rig.stat(kRootInode).accessed.tv_sec;
  EXPECT_EQ(after_reading(kRootInode, kStart + 10), before);
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
}

TEST_F(AccessTimesTest, CostsNothingUntilItIsWritten) {
  const std::uint64_t before = commits();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(after_reading(file, kStart + i * kDay), kStart + i * kDay);
  EXPECT_EQ(commits(), before);
  ASSERT_TRUE(rig.volume().sync_inode(rig.context(), file, false));
  EXPECT_EQ(commits(), before + 1);
  rig.crash();
  rig.mount();
  EXPECT_EQ(rig.stat(file).accessed.tv_sec, kStart + 99 * kDay);
}

TEST_F(AccessTimesTest, WrittenAtTheEndOfTheMount) {
  const InodeNumber directory = rig.make_directory(kRootInode, "directory");
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
  EXPECT_EQ(after_reading(directory, kStart + 20), kStart + 20);
  rig.remount();
  EXPECT_EQ(rig.stat(file).accessed.tv_sec, kStart + 10);
  EXPECT_EQ(rig.stat(directory).accessed.tv_sec, kStart + 20);
  EXPECT_EQ(rig.stat(file).accessed.tv_nsec, 5);
}

TEST_F(AccessTimesTest, WrittenWithTheNextChangeAndBySyncfs) {
  const InodeNumber other = rig.make_file(kRootInode, "other");
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
  EXPECT_EQ(after_reading(other, kStart + 10), kStart + 10);
  rig.write(other, 0, "contents");
  ASSERT_TRUE(rig.volume().store().sync(rig.io()));
  rig.crash();
  rig.mount();
  EXPECT_EQ(rig.stat(file).accessed.tv_sec, kStart);
  EXPECT_EQ(rig.stat(other).accessed.tv_sec, kStart + 10);
  EXPECT_EQ(after_reading(file, kStart + 20), kStart + 20);
  ASSERT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  rig.mount();
  EXPECT_EQ(rig.stat(file).accessed.tv_sec, kStart + 20);
}

TEST_F(AccessTimesTest, WhoSetsTheTimeIsRight) {
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
  AttributeChange change;
  change.fields = AttributeChange::accessed_field;
  change.accessed = {77, 7};
  ASSERT_TRUE(rig.volume().set_attributes(rig.context(), file, change));
  EXPECT_EQ(rig.stat(file).accessed.tv_sec, 77);
  rig.remount();
  EXPECT_EQ(rig.stat(file).accessed.tv_sec, 77);
}

TEST_F(AccessTimesTest, ManyAreNotLetWait) {
  constexpr int kFiles = 3000;
  std::vector<InodeNumber> files;
  for (int i = 0; i < kFiles; ++i) files.push_back(rig.make_file(kRootInode, std::to_string(i)));
  const std::uint64_t before = commits();
  for (const InodeNumber each : files) EXPECT_EQ(after_reading(each, kStart + 10), kStart + 10);
  EXPECT_GE(commits(), before + 2000);
  // And those that wait for long go when another joins them.
  const std::uint64_t then = commits();
  EXPECT_EQ(after_reading(file, kStart + 100), kStart + 100);
  EXPECT_GT(commits(), then);
}

TEST_F(AccessTimesTest, RemovalIsNotHeldUp) {
  rig.write(file, 0, std::string(100'000, 'x'));
  const std::uint64_t free_before = rig.free_blocks();
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
  const InodeNumber held = rig.hold(kRootInode, "file");
  ASSERT_TRUE(rig.volume().unlink(rig.context(), kRootInode, "file"));
  // Without names it still has times.
  EXPECT_EQ(after_reading(held, kStart + 20), kStart + 20);
  rig.forget(held);
  EXPECT_EQ(error_of(rig.volume().attributes(rig.context(), held)), ErrorCode::stale_handle);
  EXPECT_GT(rig.free_blocks(), free_before);
  rig.check();
}

TEST_F(AccessTimesTest, AFullVolumeStillReadsAndSyncs) {
  // Until not even an inode can be changed any more.
  int made = 0;
  while (rig.volume().make_node(rig.context(), kRootInode, std::to_string(made), {S_IFDIR | 0755, 0})) ++made;
  ASSERT_GT(made, 1000);
  EXPECT_EQ(after_reading(file, kStart + 10), kStart + 10);
  EXPECT_TRUE(rig.volume().sync_inode(rig.context(), file, false));
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  EXPECT_EQ(rig.stat(file).accessed.tv_sec, kStart + 10);
  rig.check();
}

}  // namespace
}  // namespace ashlar::volume::testing
