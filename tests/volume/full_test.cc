// A volume without space left.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>

#include <algorithm>

#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

class Full : public ::testing::TestWithParam<Geometry> {
 protected:
  static Geometry small(Geometry geometry) {
    geometry.bytes = 16ULL << 20;
    return geometry;
  }
  Rig rig{small(GetParam())};
  Volume& volume() { return rig.volume(); }
  Context& context() { return rig.context(); }

  InodeNumber make_file_without_copy_on_write(const std::string& name) {
    const InodeNumber file = rig.make_file(kRootInode, name);
    EXPECT_TRUE(volume().set_inode_flags(context(), file, FS_NOCOW_FL));
    return file;
  }
  Status write_block(InodeNumber file, std::uint64_t block, const std::string& data,
                     WriteOrigin origin = WriteOrigin::caller) {
    return volume().write(context(), file, block * rig.block_size(), std::as_bytes(std::span(data)), false, origin);
  }
  std::string block_of(unsigned seed) { return pattern(rig.block_size(), seed); }
  // Until neither a block nor a name nor an attribute finds room.
  void fill();
  void empty();

  std::vector<std::string> fillers;
};

void Full::fill() {
  const InodeNumber big = rig.make_file(kRootInode, "filler");
  fillers.emplace_back("filler");
  std::uint64_t offset = 0;
  for (const std::size_t size : {std::size_t{64} * 1024, std::size_t{rig.block_size()}}) {
    const std::string chunk(size, 'x');
    while (volume().write(context(), big, offset, std::as_bytes(std::span(chunk)), false)) offset += size;
  }
  for (;;) {
    const std::string name = "small" + std::to_string(fillers.size());
    const auto made = volume().make_symlink(context(), kRootInode, name, std::string(200, 'x'));
    if (!made) {
      ASSERT_EQ(error_of(made), ErrorCode::no_space);
      break;
    }
    fillers.push_back(name);
    rig.forget(made->inode);
  }
  // What changes one inode alone needs less than a name does.
  const std::string value(100, 'x');
  std::optional<ErrorCode> error;
  for (unsigned i = 0; !error; ++i) {
    error =
        error_of(volume().set_xattr(context(), big, "user." + std::to_string(i), std::as_bytes(std::span(value)), 0));
  }
  ASSERT_EQ(*error, ErrorCode::no_space);
}

void Full::empty() {
  for (const std::string& name : fillers) {
    const Status removed = volume().unlink(context(), kRootInode, name);
    ASSERT_TRUE(removed) << name << ": " << removed.error().message();
  }
  fillers.clear();
}

TEST_P(Full, FillingAndDeletingLeavesNothingBehind) {
  const std::uint64_t free = rig.free_blocks();
  const std::string data = pattern(100'000, 1);
  for (int cycle = 0; cycle < 3; ++cycle) {
    std::vector<std::string> names;
    std::optional<ErrorCode> error;
    while (!error) {
      ASSERT_LT(names.size(), 10'000U);
      const std::string name = "file" + std::to_string(names.size());
      const auto made = volume().make_node(context(), kRootInode, name, {S_IFREG | 0644, 0});
      error = error_of(made);
      if (error) break;
      names.push_back(name);
      error = error_of(volume().write(context(), made->inode, 0, std::as_bytes(std::span(data)), false));
      if (!error) {
        EXPECT_EQ(rig.stat(made->inode).size, data.size());
      }
      rig.forget(made->inode);
    }
    EXPECT_EQ(error, ErrorCode::no_space);
    EXPECT_GT(names.size(), 50U);
    rig.check();
    // Small things first, until even they do not fit; then all of it goes.
    for (int i = 0; i < 100'000; ++i) {
      const std::string name = "small" + std::to_string(i);
      const auto made = volume().make_symlink(context(), kRootInode, name, std::string(200, 'x'));
      if (!made) {
        EXPECT_EQ(error_of(made), ErrorCode::no_space);
        break;
      }
      names.push_back(name);
      rig.forget(made->inode);
    }
    rig.check();
    if (cycle == 1) rig.remount();
    for (const std::string& name : names) {
      const Status removed = volume().unlink(context(), kRootInode, name);
      ASSERT_TRUE(removed) << name << ": " << removed.error().message();
    }
    rig.check();
    EXPECT_EQ(rig.names(kRootInode).size(), 0U);
    EXPECT_EQ(rig.free_blocks(), free);
  }
}

TEST_P(Full, AFailedWriteChangesNothing) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const InodeNumber big = rig.make_file(kRootInode, "big");
  const std::string before = pattern(10'000, 2);
  rig.write(file, 0, before);
  const std::string chunk = pattern(64 * 1024, 3);
  std::uint64_t offset = 0;
  while (volume().write(context(), big, offset, std::as_bytes(std::span(chunk)), false)) offset += chunk.size();
  const Attributes full = rig.stat(file);
  const std::string more = pattern(1 << 20, 4);
  EXPECT_EQ(error_of(volume().write(context(), file, 5000, std::as_bytes(std::span(more)), false)),
            ErrorCode::no_space);
  EXPECT_EQ(rig.stat(file).size, full.size);
  EXPECT_EQ(rig.stat(file).blocks, full.blocks);
  EXPECT_TRUE(same(rig.read(file, 0, 20'000), before));
  rig.truncate(big, 0);
  rig.write(file, 5000, more);
  EXPECT_TRUE(same(rig.read(file, 5000, more.size()), more));
  rig.check();
}

TEST_P(Full, TruncationMakesRoom) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const std::string chunk = pattern(64 * 1024, 3);
  std::uint64_t offset = 0;
  while (volume().write(context(), file, offset, std::as_bytes(std::span(chunk)), false)) offset += chunk.size();
  rig.truncate(file, 64 * 1024);
  EXPECT_TRUE(same(rig.read(file, 0, offset), chunk));
  rig.write(file, 64 * 1024, chunk);
  rig.check();
}

// posix_fallocate(3): "subsequent writes to the specified range shall not fail due to the lack of free space".
TEST_P(Full, PreallocatedSpaceCanBeWritten) {
  constexpr std::uint64_t kBlocks = 60;
  const InodeNumber copied = rig.make_file(kRootInode, "copied");
  const InodeNumber in_place = make_file_without_copy_on_write("in place");
  for (const InodeNumber file : {copied, in_place}) {
    ASSERT_TRUE(volume().allocate(context(), file, 0, 0, kBlocks * rig.block_size()));
  }
  ASSERT_NO_FATAL_FAILURE(fill());
  for (const InodeNumber file : {copied, in_place}) {
    // Every second block first, so that the extents are in pieces for a while.
    for (std::uint64_t i = 0; i < kBlocks; ++i) {
      const std::uint64_t block = 2 * i % kBlocks + (2 * i >= kBlocks ? 1 : 0);
      const auto origin = i % 3 == 0 ? WriteOrigin::page_cache : WriteOrigin::caller;
      const Status written = write_block(file, block, block_of(static_cast<unsigned>(block)), origin);
      ASSERT_TRUE(written) << "block " << block << ": " << written.error().message();
    }
  }
  rig.check();
  rig.remount();
  for (const char* const name : {"copied", "in place"}) {
    const InodeNumber file = rig.find(kRootInode, name);
    for (std::uint64_t block = 0; block < kBlocks; ++block) {
      ASSERT_TRUE(
          same(rig.read(file, block * rig.block_size(), rig.block_size()), block_of(static_cast<unsigned>(block))));
    }
  }
  ASSERT_NO_FATAL_FAILURE(empty());
  rig.check();
}

// More runs than one transaction takes, and less space than is wanted: found out when a part of it is there already.
TEST_P(Full, WhoseAllocationFailsKeepsItsSize) {
  Rig wide{GetParam()};
  const std::uint64_t block = wide.block_size();
  const std::uint64_t hole = std::max<std::uint64_t>(GetParam().node_size / block, 1);  // the tree is to find room
  const InodeNumber holed = wide.make_file(kRootInode, "holed");
  const std::uint64_t holes = wide.free_blocks() / hole / 2 * 7 / 8;
  wide.write(holed, 0, std::string(2 * holes * hole * block, 'x'));
  for (std::uint64_t i = 0; i < holes; ++i) {
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    ASSERT_TRUE(wide.volume().allocate(wide.context(), holed, punch, 2 * i * hole * block, hole * block));
  }
  const std::uint64_t free = wide.free_blocks();
  const std::string before = pattern(3 * block / 2, 5);
  for (const int mode : {0, FALLOC_FL_ZERO_RANGE}) {
    const std::string name = "f" + std::to_string(mode);
    const InodeNumber file = wide.make_file(kRootInode, name);
    wide.write(file, 0, before);
    EXPECT_EQ(error_of(wide.volume().allocate(wide.context(), file, mode, 2 * block, free * block)),
              ErrorCode::no_space);
    EXPECT_EQ(wide.stat(file).size, before.size());
    EXPECT_GT(wide.stat(file).blocks, 256 * block / 512) << "it failed before it took anything";
    wide.check();
    wide.remount();
    EXPECT_EQ(wide.stat(file).size, before.size());
    EXPECT_TRUE(same(wide.read(file, 0, 600 * block), before));
    // The file grows over what is preallocated; zeroing takes other blocks.
    if (mode != 0) wide.truncate(file, before.size());
    const std::uint64_t size = free * block * 3 / 4;
    const Status again = wide.volume().allocate(wide.context(), file, mode, 2 * block, size - 2 * block);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(wide.stat(file).size, size);
    EXPECT_TRUE(same(wide.read(file, 0, size), before + std::string(size - before.size(), '\0')));
    wide.truncate(file, before.size());
    EXPECT_EQ(wide.stat(file).blocks, 2 * block / 512);
    ASSERT_TRUE(wide.volume().unlink(wide.context(), kRootInode, name));
    EXPECT_EQ(wide.free_blocks(), free);
  }
  wide.check();
}

TEST_P(Full, FilesWithoutCopyOnWriteAreOverwritten) {
  constexpr std::uint64_t kBlocks = 16;
  const InodeNumber file = make_file_without_copy_on_write("f");
  rig.write(file, 0, pattern(kBlocks * rig.block_size(), 1));
  ASSERT_NO_FATAL_FAILURE(fill());
  for (unsigned i = 0; i < 400; ++i) {
    context().now.tv_sec += 1;
    const auto origin = i % 3 == 0 ? WriteOrigin::page_cache : WriteOrigin::caller;
    ASSERT_TRUE(write_block(file, i % kBlocks, block_of(i), origin)) << i;
    ASSERT_TRUE(same(rig.read(file, i % kBlocks * rig.block_size(), rig.block_size()), block_of(i)));
    if (origin == WriteOrigin::caller) {
      EXPECT_EQ(rig.stat(file).modified.tv_sec, context().now.tv_sec);
    }
  }
  ASSERT_NO_FATAL_FAILURE(empty());
  rig.check();
}

// With every number of blocks left: what such a file holds changes only when the write succeeds.
TEST_P(Full, ARefusedWriteInPlaceChangesNothing) {
  constexpr std::uint64_t kBlocks = 8;
  const InodeNumber file = make_file_without_copy_on_write("f");
  const std::string before = pattern(kBlocks * rig.block_size(), 1);
  rig.write(file, 0, before);
  ASSERT_NO_FATAL_FAILURE(fill());
  const InodeNumber filler = rig.find(kRootInode, "filler");
  unsigned refused = 0;
  for (unsigned left = 0; left < 60; ++left) {
    const std::string more = pattern((kBlocks + left % 12) * rig.block_size(), 2 + left);
    const Status written = volume().write(context(), file, 0, std::as_bytes(std::span(more)), false);
    if (written) {
      EXPECT_TRUE(same(rig.read(file, 0, more.size() + 1), more));
      rig.truncate(file, before.size());
      rig.write(file, 0, before);
    } else {
      ++refused;
      EXPECT_EQ(error_of(written), ErrorCode::no_space);
      EXPECT_TRUE(same(rig.read(file, 0, more.size() + 1), before));
    }
    rig.truncate(filler, rig.stat(filler).size - (left % 2 == 0 ? rig.block_size() : 0));
  }
  EXPECT_GT(refused, 0U);
  rig.check();
}

TEST_P(Full, WhatNeedsNoRoomSucceeds) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  rig.write(file, 0, "contents");
  const std::string value(100, 'v');
  for (int i = 0; i < 100; ++i) {
    rig.make_file(kRootInode, "a" + std::to_string(i));
    rig.make_file(directory, "b" + std::to_string(i));
    ASSERT_TRUE(volume().set_xattr(context(), file, "user.x" + std::to_string(i), std::as_bytes(std::span(value)), 0));
  }
  const InodeNumber sparse = rig.make_file(kRootInode, "sparse");
  const InodeNumber allocated = rig.make_file(kRootInode, "allocated");
  const std::uint64_t length = std::uint64_t{8} * rig.block_size();
  ASSERT_TRUE(volume().allocate(context(), allocated, 0, 0, length));
  ASSERT_NO_FATAL_FAILURE(fill());
  const auto ok = [](const auto& result, const char* what) {
    return result ? ::testing::AssertionSuccess()
                  : ::testing::AssertionFailure() << what << ": " << result.error().message();
  };
  EXPECT_EQ(error_of(volume().link(context(), file, directory, "one name more")), ErrorCode::no_space);
  using Field = AttributeChange::Field;
  for (unsigned i = 0; i < 100; ++i) {
    SCOPED_TRACE(i);
    context().now.tv_sec += 1;
    AttributeChange change;
    change.fields = Field::mode_field | Field::uid_field | Field::accessed_field | Field::modified_field;
    change.mode = S_IFREG | (0600 + i % 64);
    change.uid = i;
    change.accessed = change.modified = context().now;
    ASSERT_TRUE(ok(volume().set_attributes(context(), file, change), "attributes"));
    ASSERT_TRUE(ok(volume().set_inode_flags(context(), file, i % 2 == 0 ? FS_NODUMP_FL : 0), "flags"));
    ASSERT_TRUE(ok(volume().remove_xattr(context(), file, "user.x" + std::to_string(i)), "removexattr"));
    const std::string contents(8, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(ok(volume().write(context(), file, 0, std::as_bytes(std::span(contents)), false), "same size"));
    AttributeChange grow;
    grow.fields = Field::size_field;
    grow.size = std::uint64_t{i + 1} * 100'000;
    ASSERT_TRUE(ok(volume().set_attributes(context(), sparse, grow), "growing a hole"));
    ASSERT_TRUE(ok(volume().allocate(context(), allocated, 0, 0, length), "allocating again"));
    const std::string a = "a" + std::to_string(i);
    const std::string b = "b" + std::to_string(i);
    ASSERT_TRUE(ok(volume().rename(context(), kRootInode, a, directory, b, RENAME_EXCHANGE), "exchange"));
    ASSERT_TRUE(ok(volume().rename(context(), kRootInode, a, directory, b, 0), "replace"));
  }
  rig.check();
  ASSERT_NO_FATAL_FAILURE(empty());
  rig.check();
}

INSTANTIATE_TEST_SUITE_P(Geometries, Full, ::testing::Values(kSmallNodes, kMiddleNodes, kLargeNodes));

}  // namespace
}  // namespace ashlar::volume::testing
