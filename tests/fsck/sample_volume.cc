#include "tests/fsck/sample_volume.h"

namespace ashlar::fsck::testing {

Names names_of(const Report& report) {
  Names names;
  for (const Finding& finding : report.findings()) names.emplace(kind_of(finding.id).name);
  return names;
}

Report check(blockio::BlockDevice& device, const CheckOptions& options) {
  const Result<std::unique_ptr<blockio::IoQueue>> io = device.open_queue({});
  EXPECT_TRUE(io);
  Result<Report> report = check_volume(device, **io, options);
  EXPECT_TRUE(report) << report.error().message();
  return report ? *std::move(report) : Report{};
}

SampleVolume::SampleVolume(const Geometry& geometry) : rig(geometry) {
  fill();
  rig.unmount();
}

std::vector<SampleVolume::File> SampleVolume::files() const {
  const std::size_t block = rig.block_size();
  std::string scattered;
  for (std::uint64_t i = 0; i < kSparseBlocks; ++i) {
    scattered.resize(2 * i * block);
    scattered += volume::testing::pattern(block, static_cast<unsigned>(10 + i));
  }
  return {{"f", file, volume::testing::pattern(8 * block, 1)},
          {"other", other, volume::testing::pattern(8 * block, 2)},
          {"small", small, "a few bytes"},
          {"sparse", sparse, std::move(scattered)}};
}

void SampleVolume::fill() {
  const std::size_t block = rig.block_size();
  directory = rig.make_directory(kRootInode, "d");
  file = rig.make_file(directory, "f");
  other = rig.make_file(directory, "other");
  small = rig.make_file(directory, "small");
  sparse = rig.make_file(directory, "sparse");
  for (const File& made : files()) {
    if (made.inode != sparse) rig.write(made.inode, 0, made.contents);
  }
  for (std::uint64_t i = 0; i < kSparseBlocks; ++i)
    rig.write(sparse, 2 * i * block, volume::testing::pattern(block, static_cast<unsigned>(10 + i)));
  xattr_owner = rig.make_file(directory, "x");
  const std::string value = volume::testing::pattern(20'000, 3);
  EXPECT_TRUE(rig.volume().set_xattr(rig.context(), xattr_owner, "user.large", std::as_bytes(std::span(value)), 0));
  EXPECT_TRUE(rig.volume().set_xattr(rig.context(), xattr_owner, "user.small", {}, 0));
  const auto made = [](const Result<volume::Attributes>& result) {
    EXPECT_TRUE(result);
    return result ? result->inode : kNoInode;
  };
  fifo = made(rig.volume().make_node(rig.context(), directory, "fifo", {S_IFIFO | 0600, 0}));
  symlink = made(rig.volume().make_symlink(rig.context(), directory, "symlink", "f"));
  left = rig.make_directory(directory, "left");
  right = rig.make_directory(directory, "right");
  for (unsigned i = 0; i < 100; ++i) rig.make_file(right, "file with a longer name " + std::to_string(i));
  EXPECT_EQ(made(rig.volume().link(rig.context(), file, right, "another name")), file);
}

}  // namespace ashlar::fsck::testing
