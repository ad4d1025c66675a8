// What a checkpoint writes is what was committed when it froze; what it freed is reusable once it is durable.
#include "tests/store/allocator/allocator_fixture.h"

namespace ashlar::store {
namespace {

class AllocatorCheckpoint : public AllocatorFixture {
 protected:
  [[nodiscard]] bool in_use_on_device(BlockNumber block) {
    const std::uint32_t group = layout_->group_of(block);
    return bitmap_on_device(group)[block - layout_->group_first(group)];
  }
};

TEST_F(AllocatorCheckpoint, WhatIsNotCommittedIsNotWritten) {
  make();
  const auto taken = allocate(8, 8);
  ASSERT_TRUE(taken.has_value());
  const BlockRun committed = occupy(8);
  checkpoint();
  EXPECT_FALSE(in_use_on_device(taken->first));
  EXPECT_TRUE(in_use_on_device(committed.first));
  allocator_->cancel(*taken);
}

TEST_F(AllocatorCheckpoint, WhatIsCommittedAfterTheFreezeWaitsForTheNextOne) {
  make();
  const BlockRun old = occupy(8);
  checkpoint();
  const BlockRun before = occupy(4, old.end());
  begin_checkpoint();
  const BlockRun after = occupy(4, before.end());
  commit_free(old);
  const auto totals = allocator_->write_frozen(*io_);
  ASSERT_TRUE(totals.has_value());
  finish_checkpoint(*totals);
  EXPECT_TRUE(in_use_on_device(before.first));
  EXPECT_FALSE(in_use_on_device(after.first));
  EXPECT_TRUE(in_use_on_device(old.first));
  EXPECT_EQ(allocator_->waiting(), old.count);
  checkpoint();
  EXPECT_TRUE(in_use_on_device(after.first));
  EXPECT_FALSE(in_use_on_device(old.first));
  EXPECT_EQ(allocator_->waiting(), 0U);
}

TEST_F(AllocatorCheckpoint, FreedBlocksAreReusableOnlyOnceReleased) {
  make();
  const BlockRun run = occupy(8);
  checkpoint();
  commit_free(run);
  const auto reuse = [&] {
    const auto again = allocate(8, 8, run.first);
    if (!again) return false;
    allocator_->cancel(*again);
    return again->first == run.first;
  };
  EXPECT_FALSE(reuse());
  const Generation generation = begin_checkpoint();
  EXPECT_FALSE(reuse());
  const auto totals = allocator_->write_frozen(*io_);
  ASSERT_TRUE(totals.has_value());
  EXPECT_FALSE(reuse());
  allocator_->finish_frozen();
  EXPECT_FALSE(reuse()) << "its readers have not ended";
  allocator_->release_freed(Generation{generation.value() - 1});
  EXPECT_FALSE(reuse());
  allocator_->release_freed(generation);
  EXPECT_TRUE(reuse());
}

TEST_F(AllocatorCheckpoint, ACheckpointThatNeverBecameDurableLeavesNoTrace) {
  make();
  const BlockRun kept = occupy(8);
  checkpoint();
  const format::Superblock durable = superblock_;
  // Changes a group in another table block than the one the next checkpoint will change.
  const BlockRun lost = occupy(8, layout_->group_first(20) + 300);
  ASSERT_EQ(layout_->group_of(lost.first), 20U);
  begin_checkpoint();
  ASSERT_TRUE(allocator_->write_frozen(*io_).has_value());
  superblock_ = durable;
  reopen();
  const BlockRun other = occupy(8, kept.end());
  checkpoint();
  // The same generation number as the lost one's: its table block must not come back to life.
  reopen();
  EXPECT_TRUE(in_use_on_device(kept.first));
  EXPECT_TRUE(in_use_on_device(other.first));
  EXPECT_FALSE(in_use_on_device(lost.first));
  const auto again = allocate(8, 8, lost.first);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->first, lost.first);
}

TEST_F(AllocatorCheckpoint, AnIdleCheckpointWritesNothing) {
  make();
  static_cast<void>(occupy(8));
  checkpoint();
  const auto before = device_->snapshot();
  begin_checkpoint();
  const auto totals = allocator_->write_frozen(*io_);
  ASSERT_TRUE(totals.has_value());
  finish_checkpoint(*totals);
  std::vector<std::byte> old_bytes(device_->geometry().size);
  std::vector<std::byte> new_bytes(old_bytes.size());
  before.read(0, old_bytes);
  device_->snapshot().read(0, new_bytes);
  EXPECT_EQ(old_bytes, new_bytes);
}

TEST_F(AllocatorCheckpoint, ReplayBringsBackWhatTheLogSays) {
  make();
  const BlockRun old = occupy(8);
  checkpoint();
  const BlockRun fresh{old.end(), 16};
  reopen();
  ASSERT_TRUE(allocator_->replay_allocate(*io_, fresh).has_value());
  ASSERT_TRUE(allocator_->replay_free(*io_, old).has_value());
  EXPECT_EQ(allocator_->waiting(), old.count);
  const auto not_yet = allocate(8, 8, old.first);
  ASSERT_TRUE(not_yet.has_value());
  EXPECT_GE(not_yet->first, fresh.end());
  checkpoint();
  EXPECT_TRUE(in_use_on_device(fresh.first));
  EXPECT_FALSE(in_use_on_device(old.first));
}

TEST_F(AllocatorCheckpoint, ReplayRefusesWhatCannotBe) {
  make();
  const BlockRun used = occupy(8);
  checkpoint();
  reopen();
  const auto code = [](const Status& status) { return status ? ErrorCode::not_found : status.error().code(); };
  const BlockNumber free_block = used.end() + 100;
  const BlockRun fixed{layout_->bitmap_block(3, 0, 0), 1};
  const BlockRun outside{BlockNumber{layout_->block_count() - 1}, 2};
  const BlockRun far{BlockNumber{~0ULL}, 1};
  EXPECT_EQ(code(allocator_->replay_allocate(*io_, used)), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_allocate(*io_, fixed)), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_allocate(*io_, outside)), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_allocate(*io_, far)), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_allocate(*io_, BlockRun{BlockNumber{0}, layout_->block_count()})),
            ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_free(*io_, BlockRun{free_block, 1})), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_free(*io_, BlockRun{used.first, used.count + 1})), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_free(*io_, fixed)), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_free(*io_, outside)), ErrorCode::corrupt_structure);
  // Freed in this log, so not reusable in it.
  ASSERT_TRUE(allocator_->replay_free(*io_, used).has_value());
  EXPECT_EQ(code(allocator_->replay_free(*io_, used)), ErrorCode::corrupt_structure);
  EXPECT_EQ(code(allocator_->replay_allocate(*io_, used)), ErrorCode::corrupt_structure);
  EXPECT_FALSE(allocator_->damaged());
}

TEST_F(AllocatorCheckpoint, NodesInUsedOrFixedBlocksAreRefused) {
  make();
  const BlockRun used = occupy(2);
  checkpoint();
  begin_checkpoint();
  EXPECT_FALSE(allocator_->commit_node_allocate(*io_, used).has_value());
  EXPECT_FALSE(allocator_->commit_node_allocate(*io_, BlockRun{used.end(), 2}).has_value()) << "not taken";
  EXPECT_FALSE(allocator_->commit_node_free(*io_, BlockRun{used.end(), 2}).has_value());
  EXPECT_FALSE(allocator_->commit_node_free(*io_, BlockRun{layout_->log().first, 2}).has_value());
}

}  // namespace
}  // namespace ashlar::store
