// Which inodes stay in memory: a bounded number of those that only the kernel remembers.
#include "fs/volume/inode_table.h"

#include <sys/stat.h>

#include <vector>

#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr std::size_t kInodes = 2000;
constexpr std::size_t kMostIdle = 640;  // ten in each shard

// A table of its own beside the volume's, on the same store.
class InodeTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i < kInodes; ++i) {
      files.push_back(rig.make_file(kRootInode, "file" + std::to_string(i), static_cast<std::uint32_t>(i % 0777)));
    }
  }
  [[nodiscard]] InodeRef acquire(InodeNumber number) {
    Result<InodeRef> ref = table.acquire(rig.io(), number);
    EXPECT_TRUE(ref) << number.value();
    return ref ? *std::move(ref) : InodeRef();
  }
  // As the kernel looks names up.
  void refer_to_all() {
    for (const InodeNumber file : files) table.add_reference(*acquire(file));
  }

  Rig rig;
  InodeTable table{rig.volume().store(), kMostIdle};
  std::vector<InodeNumber> files;
};

TEST_F(InodeTableTest, WhatNobodyUsesAndNobodyRemembersGoes) {
  for (const InodeNumber file : files) EXPECT_EQ(acquire(file)->number(), file);
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(InodeTableTest, OfWhatTheKernelRemembersSomeStaysWhole) {
  refer_to_all();
  EXPECT_LE(table.size(), kMostIdle);
  EXPECT_GT(table.size(), kMostIdle / 2);
  for (std::size_t i = 0; i < kInodes; ++i) ASSERT_EQ(acquire(files[i])->item.mode, S_IFREG | (i % 0777)) << i;
  EXPECT_LE(table.size(), kMostIdle);
  for (const InodeNumber file : files) table.drop_references(file, 1);
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(InodeTableTest, TheLastUsedStay) {
  refer_to_all();
  constexpr std::uint64_t kMark = 12345;
  // Nothing that the store has: who loads the inode anew does not see it.
  acquire(files.front())->item.version = kMark;
  for (std::size_t i = 0; i < kMostIdle / 8; ++i) {
    table.add_reference(*acquire(files[i + 1]));
    EXPECT_EQ(acquire(files.front())->item.version, kMark);
  }
  for (const InodeNumber file : files) table.add_reference(*acquire(file));
  EXPECT_NE(acquire(files.front())->item.version, kMark);
}

TEST_F(InodeTableTest, WhatOperationsUseStaysHowMuchEver) {
  std::vector<InodeRef> used;
  for (const InodeNumber file : files) used.push_back(acquire(file));
  EXPECT_EQ(table.size(), kInodes);
  used.clear();
  EXPECT_EQ(table.size(), 0U);
}

// Removals that a mount resumes are of inodes that the table does not have, and what a damaged volume lists among them
// may be in use; a file handle may name the others while they go.
TEST_F(InodeTableTest, WhatIsRemovedIsNotTakenFromWhoLooks) {
  const InodeRef used = acquire(files[0]);
  table.add_reference(*acquire(files[1]));  // idle
  table.forget_doomed(files[0]);
  table.forget_doomed(files[1]);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(used->number(), files[0]);
  EXPECT_EQ(acquire(files[1])->number(), files[1]);
}

TEST_F(InodeTableTest, ReferencesAreCountedThroughout) {
  // Three each, some while the inode is whole and some while it is not.
  for (int round = 0; round < 3; ++round) refer_to_all();
  for (const InodeNumber file : files) table.drop_references(file, 2);
  // The last name goes; only with the last reference does the inode.
  for (const InodeNumber file : files) acquire(file)->unlinked.store(true);
  EXPECT_EQ(table.size(), kInodes);
  EXPECT_FALSE(table.has_doomed());
  for (const InodeNumber file : files) table.drop_references(file, 1);
  std::size_t doomed = 0;
  while (const auto number = table.next_doomed()) {
    table.forget_doomed(*number);
    ++doomed;
  }
  EXPECT_EQ(doomed, kInodes);
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(InodeTableTest, WhatWasChangedIsKnownAfterItWasParked) {
  constexpr std::uint64_t kLsn = 1'000'000;
  refer_to_all();
  acquire(files.front())->changed_lsn.store(kLsn);
  refer_to_all();
  // Perhaps later than it was, never earlier: an fsync must reach that far.
  EXPECT_GE(acquire(files.front())->changed_lsn.load(), kLsn);
}

TEST_F(InodeTableTest, TheKernelIsGone) {
  refer_to_all();
  table.drop_all_references();
  EXPECT_EQ(table.size(), 0U);
  acquire(files.back())->unlinked.store(true);
  EXPECT_TRUE(table.has_doomed());
}

// The whole volume with room for no inode at all.
TEST(InodeTableInAVolume, UnlinkedFilesLiveAsLongAsTheKernelRemembersThem) {
  VolumeOptions options = Rig::quiet_options();
  options.store.cache_bytes = 4096;
  Rig rig(kMiddleNodes, options);
  std::vector<InodeNumber> held;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "file" + std::to_string(i);
    rig.make_file(kRootInode, name);
    held.push_back(rig.hold(kRootInode, name));
    rig.write(held.back(), 0, name);
  }
  for (std::size_t i = 0; i < held.size(); ++i) {
    const std::string name = "file" + std::to_string(i);
    ASSERT_TRUE(rig.volume().unlink(rig.context(), kRootInode, name));
    EXPECT_EQ(rig.read(held[i], 0, 100), name);
    EXPECT_EQ(rig.stat(held[i]).links, 0U);
    rig.forget(held[i]);
    EXPECT_EQ(error_of(rig.volume().attributes(rig.context(), held[i])), ErrorCode::stale_handle);
  }
  rig.check();
}

TEST_F(InodeTableTest, WhatIsThereIsNotMadeAnew) {
  const InodeRef inode = acquire(files[0]);
  format::InodeItem item = inode->item;
  item.mode = S_IFDIR | 0700;
  const auto made = table.create(files[0], item);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::corrupt_structure);
  EXPECT_TRUE(inode->is_regular());
  EXPECT_EQ(&*inode, &*acquire(files[0]));
}

}  // namespace
}  // namespace ashlar::volume::testing
