// Bitmaps that went bad, and callers that ask for what cannot be.
#include <cstring>

#include "fs/format/checksum.h"
#include "tests/store/allocator/allocator_fixture.h"

namespace ashlar::store {
namespace {

class AllocatorDamage : public AllocatorFixture {
 protected:
  void SetUp() override {
    make();
    run_ = occupy(8);
    group_ = layout_->group_of(run_.first);
    checkpoint();
  }

  [[nodiscard]] std::uint64_t bitmap_offset(std::size_t copy) {
    const std::size_t slot = (entry_on_device(group_).flags & format::kGroupSlot) != 0 ? 1 : 0;
    return layout_->byte_offset(layout_->bitmap_block(group_, slot, copy));
  }

  [[nodiscard]] Status pin() { return allocator_->pin(*io_, std::span(&run_, 1)); }

  // Puts a bitmap with the right checksums in place of the group's: what only a hostile volume has.
  void replace_bitmap(const std::function<void(std::vector<std::byte>&)>& change, std::int64_t free_change) {
    std::vector<std::byte> bitmap = peek(bitmap_offset(0), layout_->block_size());
    change(bitmap);
    overwrite(bitmap_offset(0), bitmap);
    overwrite(bitmap_offset(1), bitmap);
    const std::uint32_t index = group_ / layout_->group_table_entries_per_block();
    const std::uint64_t offset = table_block_offset(index, 0);
    const std::uint64_t second = table_block_offset(index, 1);
    std::vector<std::byte> block = peek(offset, layout_->block_size());
    format::GroupEntry entry = entry_on_device(group_);
    entry.bitmap_crc = format::crc32c(bitmap);
    entry.free_blocks = static_cast<std::uint32_t>(entry.free_blocks + free_change);
    const std::size_t within = group_ % layout_->group_table_entries_per_block();
    std::memcpy(block.data() + sizeof(format::GroupTableHeader) + within * sizeof entry, &entry, sizeof entry);
    format::seal_group_table_block(block);
    overwrite(offset, block);
    overwrite(second, block);
    superblock_.free_blocks = superblock_.free_blocks + static_cast<std::uint64_t>(free_change);
    seal_table();
  }
  void seal_table() {
    std::vector<format::le32> checksums(layout_->group_table_blocks());
    for (std::uint32_t index = 0; index < checksums.size(); ++index) {
      const auto block = peek(table_block_offset(index, 0), layout_->block_size());
      format::GroupTableHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      checksums[index] = header.crc;
    }
    superblock_.group_table_crc = format::crc32c(std::as_bytes(std::span<const format::le32>(checksums)));
  }

  BlockRun run_;
  std::uint32_t group_ = 0;
};

TEST_F(AllocatorDamage, EitherCopyOfABitmapWillDoAndTheNextCheckpointHealsIt) {
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    flip_bit(bitmap_offset(copy) + 17);
    reopen();
    ASSERT_TRUE(pin().has_value());
    // The second copy is not looked at while the first is good.
    EXPECT_EQ(allocator_->healed(), copy == 0 ? 1U : 0U);
    const BlockRun block{run_.first + copy, 1};
    allocator_->commit({}, std::span(&block, 1));
    allocator_->unpin(std::span(&run_, 1));
    checkpoint();
    EXPECT_EQ(bitmap_on_device(group_, 0), bitmap_on_device(group_, 1));
    reopen();
    ASSERT_TRUE(pin().has_value());
    EXPECT_EQ(allocator_->healed(), 0U);
    allocator_->unpin(std::span(&run_, 1));
  }
}

TEST_F(AllocatorDamage, ReadingAloneHealsABadFirstCopyToo) {
  flip_bit(bitmap_offset(0));
  reopen();
  ASSERT_TRUE(pin().has_value());
  allocator_->unpin(std::span(&run_, 1));
  checkpoint();
  const std::uint64_t first = bitmap_offset(0);
  EXPECT_EQ(format::crc32c(peek(first, layout_->block_size())), entry_on_device(group_).bitmap_crc);
  reopen();
  ASSERT_TRUE(pin().has_value());
  EXPECT_EQ(allocator_->healed(), 0U);
}

TEST_F(AllocatorDamage, AReadOnlyVolumeIsReadAndNotHealed) {
  flip_bit(bitmap_offset(0));
  reopen(true);
  ASSERT_TRUE(pin().has_value());
  EXPECT_EQ(allocator_->healed(), 0U);
}

TEST_F(AllocatorDamage, TwoBadCopiesAreAnErrorThatNamesTheGroup) {
  flip_bit(bitmap_offset(0));
  flip_bit(bitmap_offset(1));
  reopen();
  const Status pinned = pin();
  ASSERT_FALSE(pinned.has_value());
  EXPECT_EQ(pinned.error().code(), ErrorCode::bad_checksum);
  EXPECT_NE(pinned.error().message().find("group " + std::to_string(group_)), std::string::npos);
}

TEST_F(AllocatorDamage, OtherGroupsStillGiveBlocks) {
  flip_bit(bitmap_offset(0));
  flip_bit(bitmap_offset(1));
  reopen();
  for (int i = 0; i < 100; ++i) {
    const auto run = allocate(1, 8, run_.first);
    ASSERT_TRUE(run.has_value());
    EXPECT_NE(layout_->group_of(run->first), group_);
  }
}

TEST_F(AllocatorDamage, ABitmapThatFreesAFixedBlockIsRefused) {
  const std::uint64_t bit = layout_->fixed_runs(group_).front().first - layout_->group_first(group_);
  replace_bitmap([&](std::vector<std::byte>& bitmap) { bitmap[bit / 8] &= ~(std::byte{1} << (bit % 8)); }, 1);
  reopen();
  const Status pinned = pin();
  ASSERT_FALSE(pinned.has_value());
  EXPECT_EQ(pinned.error().code(), ErrorCode::corrupt_structure);
}

TEST_F(AllocatorDamage, ABitmapThatDoesNotMatchItsCountIsRefused) {
  replace_bitmap([](std::vector<std::byte>&) {}, 3);
  reopen();
  const Status pinned = pin();
  ASSERT_FALSE(pinned.has_value());
  EXPECT_EQ(pinned.error().code(), ErrorCode::corrupt_structure);
}

TEST_F(AllocatorDamage, RunsOutsideTheVolumeCannotBePinned) {
  for (const BlockRun run : {BlockRun{BlockNumber{layout_->block_count()}, 1}, BlockRun{BlockNumber{~0ULL}, 2},
                             BlockRun{BlockNumber{5}, ~0ULL}, BlockRun{BlockNumber{1000}, 0}}) {
    const Status pinned = allocator_->pin(*io_, std::span(&run, 1));
    ASSERT_FALSE(pinned.has_value());
    EXPECT_EQ(pinned.error().code(), ErrorCode::corrupt_structure);
  }
}

TEST_F(AllocatorDamage, CheckFreeRefusesWhatIsNotInUse) {
  const BlockRun half_free{run_.first, run_.count + 1};
  const BlockRun twice[] = {run_, BlockRun{run_.first + 3, 1}};
  const BlockRun fixed{layout_->log().first, 1};
  ASSERT_TRUE(pin().has_value());
  EXPECT_TRUE(allocator_->check_free(std::span(&run_, 1)).has_value());
  EXPECT_FALSE(allocator_->check_free(std::span(&half_free, 1)).has_value());
  EXPECT_FALSE(allocator_->check_free(twice).has_value());
  EXPECT_FALSE(allocator_->check_free(std::span(&fixed, 1)).has_value());
}

TEST_F(AllocatorDamage, FreeingTwiceStopsTheNextCheckpoint) {
  commit_free(run_);
  EXPECT_FALSE(allocator_->damaged());
  commit_free(run_);
  EXPECT_TRUE(allocator_->damaged());
  EXPECT_EQ(allocator_->waiting(), run_.count) << "counted once";
  begin_checkpoint();
  const auto totals = allocator_->write_frozen(*io_);
  ASSERT_FALSE(totals.has_value());
  EXPECT_EQ(totals.error().code(), ErrorCode::corrupt_structure);
}

TEST_F(AllocatorDamage, CommittingWhatWasNotTakenStopsTheNextCheckpoint) {
  commit_allocate(BlockRun{run_.end() + 50, 4});
  EXPECT_TRUE(allocator_->damaged());
}

TEST_F(AllocatorDamage, CancellingWhatWasNotTakenStopsTheNextCheckpoint) {
  const std::uint64_t free_before = allocator_->free_now();
  allocator_->cancel(run_);
  EXPECT_TRUE(allocator_->damaged());
  EXPECT_EQ(allocator_->free_now(), free_before);
}

}  // namespace
}  // namespace ashlar::store
