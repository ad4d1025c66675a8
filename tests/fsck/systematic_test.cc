// A volume with thousands of files of all kinds, and each piece of its metadata damaged in turn, in each way that
// devices damage things. One copy: nothing is lost, neither with the daemon nor with fsck. Both: fsck ends clean, and
// only what was in that piece is lost. A sample as a rule; everything with ASHLAR_DAMAGE_ALL set (half an hour).
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>

#include "fsck/repair.h"
#include "tests/fsck/metadata_places.h"
#include "tests/fsck/picture.h"
#include "tests/fsck/sample_volume.h"

namespace ashlar::fsck::testing {
namespace {

constexpr unsigned kDirectories = 40;
constexpr unsigned kFilesEach = 75;
constexpr std::size_t kSample = 8;  // pieces that are looked at as a rule

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

class Systematic : public ::testing::Test {
 protected:
  Systematic() : rig(volume::testing::kMiddleNodes) {
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
    before = view();
  }

  Picture view() {
    rig.mount();
    Picture picture = picture_of(rig);
    rig.crash();
    return picture;
  }

  // Each way to damage a copy: what is there instead, none when that way is not for such a piece.
  using Bytes = std::vector<std::byte>;
  std::vector<std::pair<std::string, Bytes>> damages(ImageEditor& image, std::size_t index) {
    const MetadataPiece& piece = pieces[index];
    const Bytes good = image.read_at(piece.offsets[0], piece.length);
    Bytes flipped = good;
    flipped[piece.length / 3] ^= std::byte{4};
    std::vector<std::pair<std::string, Bytes>> all = {{"zeros", Bytes(piece.length)}, {"a bit", flipped}};
    const MetadataPiece& other = pieces[index + 1 < pieces.size() ? index + 1 : index - 1];
    Bytes others = image.read_at(other.offsets[0], other.length);
    others.resize(piece.length);
    all.emplace_back("another block", std::move(others));
    if (piece.node) {
      Bytes older = good;
      auto& header = *reinterpret_cast<format::NodeHeader*>(older.data());
      header.generation = header.generation - 1;
      format::seal_node(older);
      all.emplace_back("an older generation", std::move(older));
    }
    return all;
  }

  // Those that are looked at: of the nodes above the leaves and of what is no node all.
  std::vector<std::size_t> chosen() {
    const bool everything = std::getenv("ASHLAR_DAMAGE_ALL") != nullptr;
    std::vector<std::size_t> indexes;
    const std::size_t step = everything ? 1 : std::max<std::size_t>(1, pieces.size() / kSample);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (i % step == 0 || inodes[i].empty()) indexes.push_back(i);
    }
    return indexes;
  }

  void expect_same_metadata() {
    ImageEditor now(rig.device());
    for (const MetadataPiece& piece : pieces) {
      for (const std::uint64_t offset : piece.offsets) {
        Bytes good(piece.length);
        pristine.read(offset, good);
        EXPECT_TRUE(now.read_at(offset, piece.length) == good) << piece.name << " at " << offset;
      }
    }
  }

  void expect_only_lost(const Picture& after, const std::set<std::uint64_t>& damaged) {
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

  Rig rig;
  blockio::MemoryImage pristine{0};
  std::vector<MetadataPiece> pieces;
  std::vector<std::set<std::uint64_t>> inodes;  // by piece
  Picture before;
};

CheckOptions healing() {
  CheckOptions options;
  options.heal = true;
  return options;
}

TEST_F(Systematic, OneCopy) {
  ASSERT_GT(pieces.size(), 200U);
  ASSERT_GT(before.size(), 2500U);
  for (const std::size_t index : chosen()) {
    const MetadataPiece& piece = pieces[index];
    rig.device().restore(pristine);
    ImageEditor image(rig.device());
    for (const auto& [how, bytes] : damages(image, index)) {
      const std::size_t copy = index % format::kCopies;
      SCOPED_TRACE(piece.name + " " + std::to_string(index) + " copy " + std::to_string(copy) + ": " + how);
      rig.device().restore(pristine);
      image.write_at(piece.offsets[copy], bytes);
      const Report report = check(rig.device(), healing());
      EXPECT_TRUE(report.is_repaired());
      EXPECT_FALSE(report.is_clean());
      expect_same_metadata();

      rig.device().restore(pristine);
      image.write_at(piece.offsets[copy], bytes);
      const Picture after = view();
      ASSERT_EQ(after.size(), before.size());
      expect_only_lost(after, {});
      const Report seen = check(rig.device(), healing());
      EXPECT_TRUE(seen.is_repaired()) << seen.findings().front().text;
    }
  }
}

TEST_F(Systematic, BothCopies) {
  for (const std::size_t index : chosen()) {
    const MetadataPiece& piece = pieces[index];
    rig.device().restore(pristine);
    ImageEditor image(rig.device());
    for (const auto& [how, bytes] : damages(image, index)) {
      SCOPED_TRACE(piece.name + " " + std::to_string(index) + ": " + how);
      rig.device().restore(pristine);
      for (const std::uint64_t offset : piece.offsets) image.write_at(offset, bytes);
      const auto io = rig.device().open_queue({});
      Report report = check(rig.device(), healing());
      if (report.takes(Repair::recount) || report.takes(Repair::rebuild)) {
        const Status repaired = repair_volume(rig.device(), **io, healing(), report);
        ASSERT_TRUE(repaired) << repaired.error().message();
      }
      EXPECT_TRUE(report.is_repaired()) << report.findings().front().text;
      const Report again = check(rig.device());
      EXPECT_TRUE(again.is_clean()) << again.findings().front().text;
      expect_only_lost(view(), inodes[index]);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace ashlar::fsck::testing
