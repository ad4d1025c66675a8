// A volume whose free blocks lie one by one: nodes need several in a row, so data is moved out of their way.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <algorithm>

#include "blockio/aligned_buffer.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

class Scattered : public ::testing::TestWithParam<Geometry> {
 protected:
  static Geometry small(Geometry geometry) {
    geometry.bytes = 16ULL << 20;
    return geometry;
  }
  Rig rig{small(GetParam())};
  Volume& volume() { return rig.volume(); }
  Context& context() { return rig.context(); }

  std::string contents_of(std::uint64_t file) const {
    return pattern(rig.block_size(), static_cast<unsigned>(file) + 1);
  }
  std::uint64_t available() { return volume().store().space().available; }
  // Files of one block until there is no space; how many.
  std::uint64_t make_files(InodeNumber directory);
  void check_files(InodeNumber directory, std::uint64_t first, std::uint64_t step, std::uint64_t end);
  // The volume is full, then every second block of a file is given back. Returns the file.
  InodeNumber punch_every_second_block();
};

std::uint64_t Scattered::make_files(InodeNumber directory) {
  for (std::uint64_t i = 0;; ++i) {
    const std::string name = std::to_string(i);
    const auto made = volume().make_node(context(), directory, name, {S_IFREG | 0644, 0});
    if (!made) {
      EXPECT_EQ(error_of(made), ErrorCode::no_space);
      return i;
    }
    const Status written = volume().write(context(), made->inode, 0, bytes_of(contents_of(i)), false);
    rig.forget(made->inode);
    if (written) continue;
    EXPECT_EQ(error_of(written), ErrorCode::no_space);
    EXPECT_TRUE(volume().unlink(context(), directory, name));
    return i;
  }
}

void Scattered::check_files(InodeNumber directory, std::uint64_t first, std::uint64_t step, std::uint64_t end) {
  for (std::uint64_t i = first; i < end; i += step) {
    const std::string contents = contents_of(i);
    ASSERT_TRUE(same(rig.read(rig.find(directory, std::to_string(i)), 0, contents.size() + 1), contents)) << i;
  }
}

InodeNumber Scattered::punch_every_second_block() {
  const InodeNumber big = rig.make_file(kRootInode, "big");
  const std::string chunk = pattern(std::size_t{16} * rig.block_size(), 1);
  std::uint64_t size = 0;
  while (volume().write(context(), big, size, bytes_of(chunk), false)) size += chunk.size();
  const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  for (std::uint64_t at = 0; at < size; at += std::uint64_t{2} * rig.block_size()) {
    const Status punched = volume().allocate(context(), big, punch, at, rig.block_size());
    EXPECT_TRUE(punched) << at << " of " << size << ": " << punched.error().message();
    if (!punched) break;
  }
  return big;
}

TEST_P(Scattered, FilesFillItAsBefore) {
  const InodeNumber old = rig.make_directory(kRootInode, "old");
  const std::uint64_t many = make_files(old);
  ASSERT_GT(many, 1000U);
  for (std::uint64_t i = 0; i < many; i += 2) ASSERT_TRUE(volume().unlink(context(), old, std::to_string(i)));
  const InodeNumber directory = rig.make_directory(kRootInode, "new");
  for (int round = 0; round < 2; ++round) {
    const std::uint64_t made = make_files(directory);
    EXPECT_GT(made, many / 2 * 9 / 10);
    rig.check();
    check_files(directory, 0, 1, made);
    check_files(old, 1, 2, many);
    rig.remount();
    for (std::uint64_t i = 0; i < made; ++i) ASSERT_TRUE(volume().unlink(context(), directory, std::to_string(i)));
  }
}

TEST_P(Scattered, NamesTakeTheHolesOfAFile) {
  const InodeNumber big = punch_every_second_block();
  const std::uint64_t size = rig.stat(big).size;
  const std::uint64_t free = available();
  std::uint64_t made = 0;
  for (;; ++made) {
    const auto link = volume().make_symlink(context(), kRootInode, std::to_string(made), std::string(200, 'x'));
    if (!link) break;
    rig.forget(link->inode);
  }
  EXPECT_GT(made, 0U);
  EXPECT_LT(available(), free / 8);
  rig.check();
  const std::string chunk = pattern(std::size_t{16} * rig.block_size(), 1);
  for (std::uint64_t at = 0; at < size; at += chunk.size()) {
    std::string expected = chunk;
    for (std::size_t hole = 0; hole < chunk.size(); hole += std::size_t{2} * rig.block_size()) {
      std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(hole), rig.block_size(), '\0');
    }
    ASSERT_TRUE(same(rig.read(big, at, chunk.size()), expected)) << at;
  }
}

TEST_P(Scattered, HolesLeaveEnoughForDeleting) {
  const InodeNumber old = rig.make_directory(kRootInode, "old");
  for (int i = 0; i < 100; ++i) rig.write(rig.make_file(old, std::to_string(i)), 0, contents_of(1));
  static_cast<void>(punch_every_second_block());
  for (int i = 0; i < 100; ++i) {
    const Status removed = volume().unlink(context(), old, std::to_string(i));
    ASSERT_TRUE(removed) << i << ": " << removed.error().message();
  }
  const Status removed = volume().unlink(context(), kRootInode, "big");
  ASSERT_TRUE(removed) << removed.error().message();
  rig.check();
}

// What has no checksums, what is preallocated, and what is damaged.
TEST_P(Scattered, AllKindsOfBlocksAreMoved) {
  const InodeNumber in_place = rig.make_file(kRootInode, "in place");
  ASSERT_TRUE(volume().set_inode_flags(context(), in_place, FS_NOCOW_FL));
  const InodeNumber reserved = rig.make_file(kRootInode, "reserved");
  const InodeNumber filler = rig.make_file(kRootInode, "filler");
  const std::uint64_t block = rig.block_size();
  std::uint64_t end = 0;
  for (;; end += 3 * block) {
    if (!volume().write(context(), in_place, end, bytes_of(contents_of(end)), false)) break;
    if (!volume().allocate(context(), reserved, 0, end, block)) break;
    if (!volume().write(context(), filler, end, bytes_of(contents_of(1)), false)) break;
  }
  rig.truncate(filler, 0);
  const std::uint64_t preallocated = rig.stat(reserved).blocks;
  const InodeNumber files = rig.make_directory(kRootInode, "files");
  const std::uint64_t free = available();
  EXPECT_GT(make_files(files), 0U);
  EXPECT_LT(available(), free / 8);
  rig.check();
  rig.remount();
  EXPECT_EQ(rig.stat(reserved).blocks, preallocated);
  EXPECT_TRUE(same(rig.read(reserved, 0, 1U << 20), std::string(std::min<std::uint64_t>(end, 1U << 20), '\0')));
  for (std::uint64_t at = 0; at < end; at += 3 * block) {
    ASSERT_TRUE(same(rig.read(in_place, at, block), contents_of(at))) << at;
  }
}

TEST_P(Scattered, AFileThatCannotBeReadStays) {
  const InodeNumber big = punch_every_second_block();
  ASSERT_TRUE(volume().store().checkpoint(rig.io()));
  const std::uint64_t size = rig.stat(big).size;
  // One block in two hundred of what is left.
  std::vector<std::uint64_t> damaged;
  for (std::uint64_t at = rig.block_size(); at < size; at += std::uint64_t{200} * rig.block_size()) {
    const auto extents = volume().list_extents(context(), big, at, 1);
    ASSERT_TRUE(extents && !extents->extents.empty());
    blockio::AlignedBuffer bad(rig.block_size());  // all zeros
    blockio::IoOp op = blockio::IoOp::write(extents->extents.front().physical, bad.span().first(rig.block_size()));
    ASSERT_TRUE(rig.io().run(op));
    damaged.push_back(at);
  }
  const InodeNumber files = rig.make_directory(kRootInode, "files");
  const std::uint64_t free = available();
  const std::uint64_t made = make_files(files);
  EXPECT_GT(made, 0U);
  EXPECT_LT(available(), free / 8);
  check_files(files, 0, 1, made);
  for (const std::uint64_t at : damaged) {
    EXPECT_EQ(error_of(rig.try_read(big, at, rig.block_size())), ErrorCode::io_error) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Geometries, Scattered, ::testing::Values(kSmallNodes, kLargeNodes),
                         [](const auto& instance) { return instance.param.block_size == 512 ? "small" : "large"; });

}  // namespace
}  // namespace ashlar::volume::testing
