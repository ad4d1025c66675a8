#include "tests/fsck/sample_volume.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/sysmacros.h>

namespace ashlar::fsck::testing {
namespace {

InodeNumber made(const Result<volume::Attributes>& result) {
  EXPECT_TRUE(result);
  return result ? result->inode : kNoInode;
}

// As setfacl(1) hands it on: the owner, `users` others, the group, the mask, all others.
std::string access_list(unsigned users) {
  std::string list("\2\0\0\0", 4);
  const auto add = [&list](unsigned tag, unsigned permissions, std::uint32_t id) {
    for (const std::uint32_t field : {tag | permissions << 16, id}) {
      for (unsigned i = 0; i < 4; ++i) list.push_back(static_cast<char>(field >> (8 * i)));
    }
  };
  add(1, 7, ~0U);
  for (unsigned i = 0; i < users; ++i) add(2, 5, 1000 + i);
  add(4, 5, ~0U);
  add(0x10, 7, ~0U);
  add(0x20, 0, ~0U);
  return list;
}

}  // namespace

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
  fifo = made(rig.volume().make_node(rig.context(), directory, "fifo", {S_IFIFO | 0600, 0}));
  symlink = made(rig.volume().make_symlink(rig.context(), directory, "symlink", "f"));
  left = rig.make_directory(directory, "left");
  right = rig.make_directory(directory, "right");
  for (unsigned i = 0; i < 100; ++i) rig.make_file(right, "file with a longer name " + std::to_string(i));
  EXPECT_EQ(made(rig.volume().link(rig.context(), file, right, "another name")), file);
  fill_rare();
}

std::string SampleVolume::long_target() {
  std::string target = "somewhere";
  while (target.size() < 4000) target += "/else " + std::to_string(target.size());
  return target;
}

void SampleVolume::fill_rare() {
  volume::Volume& volume = rig.volume();
  volume::Context& context = rig.context();
  long_link = made(volume.make_symlink(context, directory, "long link", long_target()));
  made(volume.make_node(context, directory, "disk", {S_IFBLK | 0660, static_cast<std::uint32_t>(makedev(8, 17))}));
  made(volume.make_node(context, directory, "terminal", {S_IFCHR | 0620, static_cast<std::uint32_t>(makedev(4, 300))}));
  made(volume.make_node(context, directory, "socket", {S_IFSOCK | 0700, 0}));

  const InodeNumber preallocated = rig.make_file(directory, "preallocated");
  EXPECT_TRUE(volume.allocate(context, preallocated, FALLOC_FL_KEEP_SIZE, 0, 500'000));
  rig.write(preallocated, 200'000, "in the middle of it");

  const auto set = [&](InodeNumber inode, std::string_view name, const std::string& value) {
    EXPECT_TRUE(volume.set_xattr(context, inode, name, std::as_bytes(std::span(value)), 0));
  };
  const InodeNumber shared = rig.make_directory(directory, "shared");
  set(shared, "system.posix_acl_default", access_list(40));
  set(rig.make_file(shared, "inherits"), "user.some", "value");
  const InodeNumber listed = rig.make_file(directory, "listed");
  set(listed, "system.posix_acl_access", access_list(3));
}

}  // namespace ashlar::fsck::testing
