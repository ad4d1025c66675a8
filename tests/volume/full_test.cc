// A volume without space left.
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
};

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

INSTANTIATE_TEST_SUITE_P(Geometries, Full, ::testing::Values(kSmallNodes, kMiddleNodes, kLargeNodes));

}  // namespace
}  // namespace ashlar::volume::testing
