// Reading, writing, truncating, and what a device may do to the data.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <unistd.h>

#include "fs/format/items.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr std::uint64_t kLargestFile = 0x7fff'ffff'ffff'ffffULL;

class Contents : public ::testing::TestWithParam<Geometry> {
 protected:
  Rig rig{GetParam()};
  InodeNumber file = rig.make_file(kRootInode, "f");
  Volume& volume() { return rig.volume(); }
  Context& context() { return rig.context(); }
  std::uint64_t block() const { return rig.block_size(); }
  void TearDown() override { rig.check(); }
};

TEST_P(Contents, SmallFilesTakeNoBlocks) {
  rig.write(file, 0, "hello");
  rig.write(file, 3, "p me");
  EXPECT_EQ(rig.stat(file).blocks, 0U);
  rig.write(file, 10, "!");
  rig.remount();
  EXPECT_TRUE(same(rig.read(file, 0, 100), std::string("help me\0\0\0!", 11)));
  EXPECT_TRUE(same(rig.read(file, 8, 100), std::string("\0\0!", 3)));
  rig.truncate(file, 4);
  rig.check();
  EXPECT_TRUE(same(rig.read(file, 0, 100), "help"));
  rig.truncate(file, 6);
  EXPECT_TRUE(same(rig.read(file, 0, 100), std::string("help\0\0", 6)));
  rig.truncate(file, 0);
  EXPECT_TRUE(same(rig.read(file, 0, 100), ""));
}

TEST_P(Contents, GrowingOutOfTheTree) {
  const std::string small = pattern(100, 1);
  const std::string large = pattern(50'000, 2);
  rig.write(file, 0, small);
  rig.write(file, 100, large);
  rig.remount();
  EXPECT_TRUE(same(rig.read(file, 0, 100'000), small + large));
  EXPECT_EQ(rig.stat(file).size, 50'100U);
  rig.check();
  // Once more, overwriting all of it, by growing without data, and by preallocation.
  for (const char* name : {"over", "up", "allocated"}) {
    const InodeNumber other = rig.make_file(kRootInode, name);
    rig.write(other, 0, small);
    if (std::string_view(name) == "over") rig.write(other, 0, large);
    if (std::string_view(name) == "up") rig.truncate(other, 50'000);
    if (std::string_view(name) == "allocated") {
      ASSERT_TRUE(volume().allocate(context(), other, 0, 0, 50'000));
    }
    rig.check();
    const std::string expected = std::string_view(name) == "over" ? large : small + std::string(49'900, '\0');
    EXPECT_TRUE(same(rig.read(other, 0, 100'000), expected));
  }
}

TEST_P(Contents, OverwritingInEveryAlignment) {
  std::string model = pattern(20 * block(), 3);
  rig.write(file, 0, model);
  unsigned seed = 10;
  for (const std::uint64_t offset : {0UL, 1UL, block() - 1, block(), block() + 7, 5 * block()}) {
    for (const std::uint64_t length : {1UL, block() - 1, block(), block() + 1, 3 * block(), 4 * block() + 9}) {
      const std::string data = pattern(length, ++seed);
      rig.write(file, offset, data);
      model.replace(offset, length, data);
    }
  }
  EXPECT_TRUE(same(rig.read(file, 0, model.size()), model));
  rig.remount();
  EXPECT_TRUE(same(rig.read(file, 0, model.size()), model));
  for (const std::uint64_t offset : {1UL, block() - 1, 3 * block(), 19 * block() + 5}) {
    EXPECT_TRUE(same(rig.read(file, offset, 2 * block() + 3), model.substr(offset, 2 * block() + 3)));
  }
  EXPECT_TRUE(same(rig.read(file, model.size(), 10), ""));
}

TEST_P(Contents, AppendingJoinsExtents) {
  std::string model;
  for (unsigned i = 0; i < 100; ++i) {
    const std::string data = pattern(block() * (1 + i % 3), i);
    rig.write(file, model.size(), data);
    model += data;
  }
  EXPECT_TRUE(same(rig.read(file, 0, model.size()), model));
  // Alone on the volume its blocks follow one another: few items, not one a write.
  const std::uint64_t blocks = rig.stat(file).blocks * 512 / block();
  const std::uint64_t items = volume().store().item_count(format::ItemKind::extent);
  EXPECT_LE(items, 2 + 3 * blocks / format::max_checksummed_blocks(GetParam().node_size));
}

TEST_P(Contents, AWriteOfManyTransactions) {
  const std::string data = pattern(5 << 20, 4);
  rig.write(file, 777, data);
  EXPECT_TRUE(same(rig.read(file, 777, data.size()), data));
  rig.check();
  ASSERT_TRUE(volume().unlink(context(), kRootInode, "f"));
}

TEST_P(Contents, SparseToTheLastByte) {
  rig.write(file, kLargestFile - 10, "0123456789");
  EXPECT_EQ(rig.stat(file).size, kLargestFile);
  EXPECT_EQ(rig.stat(file).blocks, block() / 512);
  EXPECT_TRUE(same(rig.read(file, kLargestFile - 5, 100), "56789"));
  EXPECT_TRUE(same(rig.read(file, 1ULL << 40, 3), std::string(3, '\0')));
  EXPECT_EQ(error_of(volume().write(context(), file, kLargestFile, std::as_bytes(std::span("x", 1)), false)),
            ErrorCode::file_too_large);
  AttributeChange change;
  change.fields = AttributeChange::size_field;
  change.size = kLargestFile + 1;
  EXPECT_EQ(error_of(volume().set_attributes(context(), file, change)), ErrorCode::file_too_large);
  EXPECT_EQ(volume().seek(context(), file, 0, SEEK_DATA).value_or(0), (kLargestFile - 10) / block() * block());
  EXPECT_EQ(volume().seek(context(), file, 0, SEEK_HOLE).value_or(1), 0U);
  rig.remount();
  EXPECT_TRUE(same(rig.read(file, kLargestFile - 5, 100), "56789"));
  rig.truncate(file, 1ULL << 50);
  EXPECT_EQ(rig.stat(file).blocks, 0U);
}

TEST_P(Contents, ShrinkingZeroesTheRestOfTheBlock) {
  const std::string data = pattern(3 * block() + 100, 5);
  for (const std::uint64_t size : {2 * block() + 5, block(), block() - 1, 3UL, 0UL}) {
    rig.write(file, 0, data);
    rig.truncate(file, size);
    rig.check();
    EXPECT_TRUE(same(rig.read(file, 0, data.size()), data.substr(0, size)));
    rig.truncate(file, data.size());
    EXPECT_TRUE(same(rig.read(file, 0, data.size()), data.substr(0, size) + std::string(data.size() - size, '\0')));
    rig.truncate(file, 0);
    EXPECT_EQ(rig.stat(file).blocks, 0U);
  }
}

TEST_P(Contents, TruncationOfManyExtents) {
  const std::uint64_t free = rig.free_blocks();
  constexpr std::uint64_t kExtents = 1500;
  for (std::uint64_t i = 0; i < kExtents; ++i) rig.write(file, 2 * i * block(), pattern(block(), 6));
  EXPECT_EQ(rig.stat(file).blocks, kExtents * block() / 512);
  rig.truncate(file, block() + 1);
  EXPECT_EQ(rig.stat(file).blocks, block() / 512);
  rig.check();
  rig.truncate(file, 0);
  EXPECT_EQ(rig.free_blocks(), free);
}

TEST_P(Contents, SizeAndTimesFollow) {
  context().now.tv_sec += 5;
  rig.write(file, 0, "x");
  EXPECT_EQ(rig.stat(file).modified.tv_sec, context().now.tv_sec);
  EXPECT_EQ(rig.stat(file).changed.tv_sec, context().now.tv_sec);
  EXPECT_NE(rig.stat(file).accessed.tv_sec, context().now.tv_sec);
  context().now.tv_sec += 5;
  rig.truncate(file, 100'000);
  EXPECT_EQ(rig.stat(file).modified.tv_sec, context().now.tv_sec);
  EXPECT_EQ(rig.stat(file).size, 100'000U);
}

TEST_P(Contents, ReadingOtherThings) {
  EXPECT_EQ(error_of(rig.try_read(kRootInode, 0, 10)), ErrorCode::is_a_directory);
  EXPECT_EQ(error_of(volume().write(context(), kRootInode, 0, {}, false)), ErrorCode::is_a_directory);
  const auto fifo = volume().make_node(context(), kRootInode, "fifo", {S_IFIFO | 0600, 0});
  ASSERT_TRUE(fifo);
  EXPECT_EQ(error_of(rig.try_read(fifo->inode, 0, 10)), ErrorCode::invalid_argument);
}

TEST_P(Contents, ADamagedBlockIsAnErrorNotWrongBytes) {
  const std::string data = pattern(4 * block(), 7);
  rig.write(file, 0, data);
  rig.unmount();
  // Wherever the third block's bytes lie.
  blockio::MemoryImage image = rig.device().snapshot();
  std::vector<std::byte> bytes(block());
  const std::string third = data.substr(2 * block(), block());
  int found = 0;
  for (std::uint64_t at = 0; at < image.size(); at += block()) {
    image.read(at, bytes);
    if (std::string_view(reinterpret_cast<const char*>(bytes.data()), block()) != third) continue;
    bytes[17] ^= std::byte{1};
    image.write(at, bytes);
    ++found;
  }
  ASSERT_EQ(found, 1);
  rig.device().restore(image);
  rig.mount();
  EXPECT_TRUE(same(rig.read(file, 0, 2 * block()), data.substr(0, 2 * block())));
  EXPECT_EQ(error_of(rig.try_read(file, 0, 4 * block())), ErrorCode::io_error);
  EXPECT_EQ(error_of(rig.try_read(file, 2 * block(), 1)), ErrorCode::io_error);
  // Neither may an overwrite of a part make the rest look sound.
  EXPECT_EQ(error_of(volume().write(context(), file, 2 * block() + 5, std::as_bytes(std::span("x", 1)), false)),
            ErrorCode::io_error);
  rig.write(file, 2 * block(), third);
  EXPECT_TRUE(same(rig.read(file, 0, 4 * block()), data));
}

TEST_P(Contents, UnlinkedWhileInUse) {
  const std::uint64_t free = rig.free_blocks();
  rig.hold(kRootInode, "f");
  ASSERT_TRUE(volume().unlink(context(), kRootInode, "f"));
  rig.write(file, 0, pattern(30 * block(), 8));
  EXPECT_TRUE(same(rig.read(file, 0, 30 * block()), pattern(30 * block(), 8)));
  rig.check();
  rig.forget(file);
  EXPECT_EQ(volume().space().inodes, 1U);
  EXPECT_EQ(rig.free_blocks(), free);
}

TEST_P(Contents, UnlinkedWhileInUseAndThenACrash) {
  const std::uint64_t free = rig.free_blocks();
  rig.hold(kRootInode, "f");
  for (std::uint64_t i = 0; i < 700; ++i) rig.write(file, 2 * i * block(), pattern(block(), 9));
  ASSERT_TRUE(volume().unlink(context(), kRootInode, "f"));
  ASSERT_TRUE(volume().sync_all(context()));
  rig.crash();
  rig.mount();
  EXPECT_EQ(volume().space().inodes, 1U);
  EXPECT_EQ(volume().store().item_count(format::ItemKind::orphan), 0U);
  EXPECT_EQ(rig.free_blocks(), free);
}

TEST_P(Contents, CopiedHolesAreHolesPastTheEnd) {
  const InodeNumber source = rig.make_file(kRootInode, "source");
  rig.truncate(source, 100'000);
  blockio::AlignedBuffer buffer(kMaxWriteBytes + 2 * block());
  const auto copy = [&](InodeNumber target, std::uint64_t offset, std::uint64_t length) {
    const auto copied = volume().copy(context(), {source, 0, target, offset, length}, false, buffer.span());
    EXPECT_EQ(copied.value_or(0), length);
  };
  copy(file, 0, 100'000);
  EXPECT_EQ(rig.stat(file).size, 100'000U);
  EXPECT_EQ(rig.stat(file).blocks, 0U);
  EXPECT_EQ(error_of(volume().seek(context(), file, 0, SEEK_DATA)), ErrorCode::no_such_device);

  const InodeNumber small = rig.make_file(kRootInode, "small");
  rig.write(small, 0, "contents");
  copy(small, 4, 20);
  EXPECT_TRUE(same(rig.read(small, 0, 100), "cont" + std::string(20, '\0')));
  EXPECT_EQ(rig.stat(small).blocks, 0U);
  rig.write(small, 0, "Contents");
  copy(small, 8, 90'000);
  EXPECT_EQ(rig.stat(small).blocks, block() / 512);
  EXPECT_TRUE(same(rig.read(small, 0, 100'000), "Contents" + std::string(90'000, '\0')));

  // Into the middle of a longer one, which keeps its size; past the end of preallocated blocks.
  const std::string data = pattern(50'000, 7);
  const InodeNumber large = rig.make_file(kRootInode, "large");
  rig.write(large, 0, data);
  copy(large, 1000, 30'000);
  EXPECT_TRUE(same(rig.read(large, 0, 60'000), data.substr(0, 1000) + std::string(30'000, '\0') + data.substr(31'000)));
  ASSERT_TRUE(volume().allocate(context(), large, FALLOC_FL_KEEP_SIZE, 50'000, 20'000));
  copy(large, 40'000, 60'001);
  EXPECT_EQ(rig.stat(large).size, 100'001U);
  EXPECT_TRUE(same(rig.read(large, 31'000, 100'000), data.substr(31'000, 9000) + std::string(60'001, '\0')));
}

INSTANTIATE_TEST_SUITE_P(Geometries, Contents, ::testing::Values(kSmallNodes, kMiddleNodes, kLargeNodes));

}  // namespace
}  // namespace ashlar::volume::testing
