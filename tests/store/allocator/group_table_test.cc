// Opening: damaged, stale and hostile group tables.
#include "fs/store/allocator/group_table.h"

#include <cstring>
#include <functional>

#include "fs/format/checksum.h"
#include "tests/store/allocator/allocator_fixture.h"

namespace ashlar::store {
namespace {

class GroupTableTest : public AllocatorFixture {
 protected:
  void SetUp() override {
    make();
    static_cast<void>(occupy(8));
    checkpoint();
    static_cast<void>(occupy(8, layout_->group_first(20) + 300));
    checkpoint();
    ASSERT_EQ(layout_->group_table_blocks(), 3U);
  }

  [[nodiscard]] ErrorCode error_of_opening() {
    const auto opened = try_open();
    EXPECT_FALSE(opened.has_value());
    return opened ? ErrorCode::not_found : opened.error().code();
  }

  // Changes a table block and makes every checksum right again.
  void forge(std::uint32_t index, const std::function<void(std::span<std::byte>)>& change) {
    std::vector<std::byte> block = peek(table_block_offset(index, 0), layout_->block_size());
    const std::uint64_t offsets[] = {table_block_offset(index, 0), table_block_offset(index, 1)};
    change(block);
    format::seal_group_table_block(block);
    std::vector<format::le32> checksums(layout_->group_table_blocks());
    for (std::uint32_t i = 0; i < checksums.size(); ++i) {
      const auto other = i == index ? block : peek(table_block_offset(i, 0), layout_->block_size());
      format::GroupTableHeader header;
      std::memcpy(&header, other.data(), sizeof header);
      checksums[i] = header.crc;
    }
    for (const std::uint64_t offset : offsets) overwrite(offset, block);
    superblock_.group_table_crc = format::crc32c(std::as_bytes(std::span<const format::le32>(checksums)));
  }
  void forge_header(std::uint32_t index, const std::function<void(format::GroupTableHeader&)>& change) {
    forge(index, [&](std::span<std::byte> block) {
      format::GroupTableHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      change(header);
      std::memcpy(block.data(), &header, sizeof header);
    });
  }
  void forge_entry(std::uint32_t index, const std::function<void(format::GroupEntry&)>& change) {
    forge(index, [&](std::span<std::byte> block) {
      format::GroupEntry entry;
      std::byte* at = block.data() + sizeof(format::GroupTableHeader) + sizeof entry;
      std::memcpy(&entry, at, sizeof entry);
      change(entry);
      std::memcpy(at, &entry, sizeof entry);
    });
  }
};

TEST_F(GroupTableTest, EitherCopyOfABlockWillDoAndTheOtherIsHealed) {
  for (std::uint32_t index = 0; index < 3; ++index) {
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      const std::uint64_t offset = table_block_offset(index, copy);
      const auto good = peek(offset, layout_->block_size());
      flip_bit(offset + 100);
      reopen();
      EXPECT_EQ(allocator_->healed(), 1U);
      EXPECT_EQ(peek(offset, layout_->block_size()), good);
      reopen();
      EXPECT_EQ(allocator_->healed(), 0U);
    }
  }
}

TEST_F(GroupTableTest, AReadOnlyVolumeIsNotHealed) {
  const std::uint64_t offset = table_block_offset(1, 0);
  flip_bit(offset + 100);
  const auto bad = peek(offset, layout_->block_size());
  reopen(true);
  EXPECT_EQ(peek(offset, layout_->block_size()), bad);
}

TEST_F(GroupTableTest, ALostWriteOfOneCopyIsHealed) {
  // Block 1 was written by both checkpoints' generations in turn; put the older slot's bytes over the newer copy.
  const std::uint64_t newer = table_block_offset(1, 1);
  const auto good = peek(newer, layout_->block_size());
  overwrite(newer, std::vector<std::byte>(good.size()));
  reopen();
  EXPECT_EQ(peek(newer, layout_->block_size()), good);
}

TEST_F(GroupTableTest, BothCopiesBadIsAnError) {
  const std::uint64_t offsets[] = {table_block_offset(1, 0), table_block_offset(1, 1)};
  for (const std::uint64_t offset : offsets) flip_bit(offset + 100);
  // The older slot is valid by itself; that it is not the current one must be noticed.
  EXPECT_EQ(error_of_opening(), ErrorCode::stale_block);
  for (std::size_t slot = 0; slot < 2; ++slot) {
    for (std::size_t copy = 0; copy < 2; ++copy) {
      overwrite(layout_->byte_offset(layout_->group_table_block(1, slot, copy)),
                std::vector<std::byte>(layout_->block_size()));
    }
  }
  EXPECT_EQ(error_of_opening(), ErrorCode::bad_checksum);
}

TEST_F(GroupTableTest, BlocksOfAnotherPlaceOrVolumeAreRefused) {
  const auto block = peek(table_block_offset(0, 0), layout_->block_size());
  const std::uint64_t offsets[] = {table_block_offset(2, 0), table_block_offset(2, 1)};
  for (const std::uint64_t offset : offsets) overwrite(offset, block);
  EXPECT_FALSE(try_open().has_value());
}

TEST_F(GroupTableTest, AnotherVolumesTableIsRefused) {
  superblock_.uuid[3] ^= 1;
  EXPECT_EQ(error_of_opening(), ErrorCode::misdirected_block);
}

TEST_F(GroupTableTest, HostileEntriesAreRefused) {
  struct Forgery {
    const char* what;
    std::function<void(format::GroupEntry&)> change;
  };
  const auto image = device_->snapshot();
  const format::Superblock superblock = superblock_;
  for (const Forgery& forgery : std::vector<Forgery>{
           {"flags", [](format::GroupEntry& entry) { entry.flags = 8; }},
           {"free", [](format::GroupEntry& entry) { entry.free_blocks = 0xffff'ffff; }},
           {"free, by one", [](format::GroupEntry& entry) { entry.free_blocks = entry.free_blocks + 1; }},
           {"generation", [](format::GroupEntry& entry) { entry.generation = ~0ULL; }},
       }) {
    SCOPED_TRACE(forgery.what);
    device_->restore(image);
    superblock_ = superblock;
    forge_entry(1, forgery.change);
    EXPECT_EQ(error_of_opening(), ErrorCode::corrupt_structure);
  }
}

TEST_F(GroupTableTest, HostileHeadersAreRefused) {
  const auto image = device_->snapshot();
  const format::Superblock superblock = superblock_;
  const std::vector<std::function<void(format::GroupTableHeader&)>> forgeries{
      [](format::GroupTableHeader& header) { header.count = 0; },
      [](format::GroupTableHeader& header) { header.count = 1; },
      [](format::GroupTableHeader& header) { header.count = 0xffff'ffff; },
      [](format::GroupTableHeader& header) { header.index = 2; },
      [](format::GroupTableHeader& header) { header.generation = 0; },
      [](format::GroupTableHeader& header) { header.generation = ~0ULL; },
      [](format::GroupTableHeader& header) { header.magic = 0; },
  };
  for (std::size_t i = 0; i < forgeries.size(); ++i) {
    SCOPED_TRACE(i);
    device_->restore(image);
    superblock_ = superblock;
    forge_header(1, forgeries[i]);
    EXPECT_FALSE(try_open().has_value());
  }
}

TEST_F(GroupTableTest, ASuperblockOfAnotherMomentIsRefused) {
  superblock_.group_table_crc = superblock_.group_table_crc + 1;
  EXPECT_EQ(error_of_opening(), ErrorCode::stale_block);
}

TEST_F(GroupTableTest, RandomDamageNeverOpensWrongly) {
  const auto image = device_->snapshot();
  const format::Superblock superblock = superblock_;
  const auto free_blocks = allocator_->free_committed();
  const std::uint64_t table_bytes = std::uint64_t{layout_->group_table_blocks()} * 2 * layout_->block_size();
  int opened = 0;
  for (int round = 0; round < 300; ++round) {
    device_->restore(image);
    superblock_ = superblock;
    const auto flips = random_() % 12;
    for (std::uint64_t i = 0; i < flips; ++i) {
      const std::uint64_t first = layout_->byte_offset(layout_->group_table_first(random_() % 2));
      flip_bit(first + random_() % table_bytes);
    }
    const auto result = try_open();
    if (!result) continue;
    ++opened;
    EXPECT_EQ((*result)->free_committed(), free_blocks);
  }
  EXPECT_GT(opened, 0);
  EXPECT_LT(opened, 300);
}

}  // namespace
}  // namespace ashlar::store
