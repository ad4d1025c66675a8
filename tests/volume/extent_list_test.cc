// How files lie, as `ashlarctl filefrag -v` is told.
#include <gtest/gtest.h>
#include <linux/fs.h>

#include <algorithm>
#include <random>

#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

class ListExtents : public ::testing::TestWithParam<Geometry> {
 protected:
  void SetUp() override {
    rig.mount();
    file = rig.make_file(kRootInode, "file");
  }

  // All there is, asked for so many at a time. What one answer ends with and the next begins with is joined.
  std::vector<FileExtent> list(std::size_t most) {
    std::vector<FileExtent> extents;
    for (std::uint64_t position = 0;;) {
      const Result<ExtentList> part = rig.volume().list_extents(rig.context(), file, position, most);
      EXPECT_TRUE(part);
      if (!part) return extents;
      EXPECT_LE(part->extents.size(), most);
      EXPECT_EQ(part->file_size, rig.stat(file).size);
      for (const FileExtent& extent : part->extents) {
        if (!extents.empty() && extents.back().logical + extents.back().length == extent.logical &&
            extents.back().physical + extents.back().length == extent.physical &&
            extents.back().unwritten == extent.unwritten) {
          extents.back().length += extent.length;
        } else {
          extents.push_back(extent);
        }
      }
      if (part->done) return extents;
      EXPECT_GT(part->next, position);
      if (part->next <= position) return extents;
      position = part->next;
    }
  }
  // What lies at a place of the device.
  std::string on_device(std::uint64_t offset, std::uint64_t length) {
    std::string bytes(length, '\0');
    rig.device().snapshot().read(offset, std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }

  Rig rig{GetParam()};
  InodeNumber file;
};

INSTANTIATE_TEST_SUITE_P(Geometries, ListExtents, ::testing::Values(kSmallNodes, kMiddleNodes));

TEST_P(ListExtents, TheContentsLieThere) {
  constexpr std::size_t kBlocks = 300;
  const std::uint64_t block = rig.block_size();
  std::vector<std::size_t> order(kBlocks);
  for (std::size_t i = 0; i < kBlocks; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(7));
  for (const std::size_t i : order) {
    if (i % 10 != 3) rig.write(file, i * block, pattern(block, static_cast<unsigned>(i)));
  }
  ASSERT_TRUE(rig.volume().sync_all(rig.context()));
  const std::vector<FileExtent> all = list(64);
  std::uint64_t end = 0;
  std::uint64_t bytes = 0;
  for (const FileExtent& extent : all) {
    EXPECT_GE(extent.logical, end);
    end = extent.logical + extent.length;
    bytes += extent.length;
    EXPECT_FALSE(extent.is_inline || extent.unwritten || extent.without_checksums);
    EXPECT_TRUE(same(on_device(extent.physical, extent.length), rig.read(file, extent.logical, extent.length)));
  }
  EXPECT_EQ(bytes, kBlocks * 9 / 10 * block);
  for (const std::size_t most : {std::size_t{1}, std::size_t{3}}) {
    const std::vector<FileExtent> parts = list(most);
    ASSERT_EQ(parts.size(), all.size());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(parts[i].logical, all[i].logical);
      EXPECT_EQ(parts[i].physical, all[i].physical);
      EXPECT_EQ(parts[i].length, all[i].length);
    }
  }
}

TEST_P(ListExtents, WhatIsNoOrdinaryExtent) {
  EXPECT_TRUE(list(8).empty());
  rig.write(file, 0, "text");
  const std::vector<FileExtent> small = list(8);
  ASSERT_EQ(small.size(), 1U);
  EXPECT_TRUE(small[0].is_inline);
  EXPECT_EQ(small[0].length, 4U);

  file = rig.make_file(kRootInode, "preallocated");
  const std::uint64_t length = 64 * rig.block_size();
  ASSERT_TRUE(rig.volume().set_inode_flags(rig.context(), file, FS_NOCOW_FL));
  ASSERT_TRUE(rig.volume().allocate(rig.context(), file, 0, 0, length));
  rig.write(file, 0, pattern(rig.block_size(), 1));
  const std::vector<FileExtent> extents = list(8);
  ASSERT_EQ(extents.size(), 2U);
  EXPECT_TRUE(extents[0].without_checksums);
  EXPECT_FALSE(extents[0].unwritten);
  EXPECT_TRUE(extents[1].unwritten);
  EXPECT_EQ(extents[1].logical + extents[1].length, length);

  EXPECT_EQ(error_of(rig.volume().list_extents(rig.context(), kRootInode, 0, 8)), ErrorCode::is_a_directory);
  EXPECT_EQ(error_of(rig.volume().list_extents(rig.context(), file, 0, 0)), ErrorCode::invalid_argument);
  const auto past = rig.volume().list_extents(rig.context(), file, ~0ULL, 8);
  ASSERT_TRUE(past);
  EXPECT_TRUE(past->done && past->extents.empty());
}

}  // namespace
}  // namespace ashlar::volume::testing
