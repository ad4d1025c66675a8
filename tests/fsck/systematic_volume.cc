#include "tests/fsck/systematic_volume.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <random>

namespace ashlar::fsck::testing {
namespace {

constexpr unsigned kDirectories = 40;
constexpr unsigned kFilesEach = 75;

void fill(Rig& rig) {
  volume::Volume& volume = rig.volume();
  volume::Context& context = rig.context();
  std::mt19937_64 random(3);
  for (unsigned d = 0; d < kDirectories; ++d) {
    const InodeNumber parent = d % 5 == 4 ? rig.find(kRootInode, "directory " + std::to_string(d - 1)) : kRootInode;
    const InodeNumber directory = rig.make_directory(parent, "directory " + std::to_string(d));
    InodeNumber file = kNoInode;
    for (unsigned f = 0; f < kFilesEach; ++f) {
      const std::string name = "file " + std::to_string(random() % 1'000'000) + "." + std::to_string(f);
      if (f % 15 == 13) {
        EXPECT_TRUE(volume.make_symlink(context, directory, name, "to " + name));
      } else if (f % 15 == 14) {
        EXPECT_TRUE(volume.make_node(context, directory, name, {S_IFIFO | 0600, 0}));
      } else if (f % 15 == 12) {
        EXPECT_TRUE(volume.link(context, file, directory, name));
      } else {
        file = rig.make_file(directory, name);
        const std::size_t size = f % 3 == 0 ? 40'000 : (f % 3 == 1 ? 5000 : 300);
        rig.write(file, f % 25 == 0 ? 100'000 : 0, volume::testing::pattern(random() % size, f));
        const std::string value = volume::testing::pattern(f % 50 == 1 ? 5000 : 40, f);
        if (f % 10 == 1) {
          EXPECT_TRUE(volume.set_xattr(context, file, "user.some", std::as_bytes(std::span(value)), 0));
        }
      }
    }
  }
}

// Inodes that have an item in the node; none of an internal one.
std::set<std::uint64_t> inodes_in(ImageEditor& image, const MetadataPiece& piece) {
  std::set<std::uint64_t> inodes;
  if (!piece.node) return inodes;
  const std::vector<std::byte> node = image.read_node(image.pointer_to(*piece.node));
  if (format::header_of(node).level != 0) return inodes;
  for (const format::LeafItem& item : format::leaf_items(node)) inodes.insert(item.inode);
  return inodes;
}

// Blocks of files whose contents have checksums.
std::vector<DataBlock> data_blocks(ImageEditor& image) {
  std::vector<DataBlock> blocks;
  for (const NodePath& path : image.leaves()) {
    const std::vector<std::byte> node = image.read_node(image.pointer_to(path));
    for (const format::LeafItem& item : format::leaf_items(node)) {
      const format::Key key = format::key_of(item);
      if (key.kind != format::ItemKind::extent) continue;
      const auto extent = format::parse_extent(key, format::value_of(node, item), image.layout().block_count());
      EXPECT_TRUE(extent);
      for (std::size_t i = 0; extent && i < extent->checksums.size(); ++i)
        blocks.push_back({key.inode, extent->file_block + i, extent->physical + i});
    }
  }
  return blocks;
}

}  // namespace

bool damages_all() { return std::getenv("ASHLAR_DAMAGE_ALL") != nullptr; }

std::vector<std::size_t> share_of(std::size_t shard, std::size_t count, std::size_t sample) {
  const std::size_t step = damages_all() ? 1 : std::max<std::size_t>(1, count / sample);
  std::vector<std::size_t> share;
  for (std::size_t i = 0; i * step < count; ++i) {
    if (i % kShards == shard) share.push_back(i * step);
  }
  return share;
}

SystematicVolume::SystematicVolume() : rig(volume::testing::kMiddleNodes) {
  fill(rig);
  rig.unmount();
  // So that there is an older generation of everything, and a log that is not empty.
  rig.mount();
  EXPECT_TRUE(rig.volume().store().checkpoint(rig.io()));
  rig.make_file(kRootInode, "late");
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  pristine = rig.device().snapshot();
  ImageEditor image(rig.device());
  pieces = metadata_pieces(image);
  for (const MetadataPiece& piece : pieces) inodes.push_back(inodes_in(image, piece));
  data = data_blocks(image);
  before = view();
}

Picture SystematicVolume::view() {
  rig.mount();
  Picture picture = picture_of(rig);
  rig.crash();
  return picture;
}

void SystematicVolume::expect_only_lost(const Picture& after, const std::set<std::uint64_t>& damaged) const {
  for (const auto& [number, seen] : before) {
    if (damaged.contains(number)) continue;
    const auto found = after.find(number);
    ASSERT_NE(found, after.end()) << "lost: " << number << " " << *seen.paths.begin();
    EXPECT_EQ(found->second.what, seen.what) << *seen.paths.begin();
    // It is where it was unless a directory on the way was damaged.
    const bool named_apart =
        std::any_of(seen.directories.begin(), seen.directories.end(), [&](std::uint64_t directory) {
          for (std::uint64_t at = directory; at != kRootInode.value();) {
            if (damaged.contains(at)) return true;
            at = *before.at(at).directories.begin();
          }
          return damaged.contains(kRootInode.value());
        });
    if (!named_apart && number != kRootInode.value()) {
      EXPECT_EQ(found->second.paths, seen.paths);
    }
  }
}

}  // namespace ashlar::fsck::testing
