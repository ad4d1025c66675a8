// ashlarctl metadump: what it writes is a volume with the same shape and the same faults, and without a word of what
// people put there.
#include "fs/ctl/metadump.h"

#include <dirent.h>
#include <gmock/gmock.h>

#include "fs/ctl/volume_reader.h"
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/save_image.h"

namespace ashlar::ctl {
namespace {

using ashlar::testing::Scratch;
using namespace fsck::testing;

class MetadumpTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(scratch_.ready()); }

  blockio::MemoryImage dump(const blockio::MemoryImage& image) {
    const std::string source = save_image(scratch_, "volume.img", image);
    const std::string target = scratch_.file("dump.img");
    std::filesystem::remove(target);
    const auto reader = VolumeReader::open(source);
    EXPECT_TRUE(reader);
    const Status written = write_metadump(*reader, target);
    EXPECT_TRUE(written) << written.error().message();
    return load_image(target);
  }

  Scratch scratch_;
};

std::string bytes_of(const blockio::MemoryImage& image) {
  std::string bytes(image.size(), '\0');
  image.read(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// Directories and how many names, how long, each of them holds.
std::multiset<std::vector<std::size_t>> shape_of(Rig& rig, InodeNumber directory) {
  std::multiset<std::vector<std::size_t>> shape;
  std::vector<std::size_t> lengths;
  for (const volume::testing::Listed& entry : rig.list(directory)) {
    if (entry.name == "." || entry.name == "..") continue;
    lengths.push_back(entry.name.size());
    EXPECT_EQ(rig.find(directory, entry.name).value(), entry.inode) << "not where its hash says";
    if (entry.type == DT_DIR) shape.merge(shape_of(rig, InodeNumber{entry.inode}));
  }
  std::sort(lengths.begin(), lengths.end());
  shape.insert(lengths);
  return shape;
}

TEST_F(MetadumpTest, TheSameShapeWithOtherNames) {
  for (const Geometry& geometry : {volume::testing::kSmallNodes, volume::testing::kLargeNodes}) {
    DamagedVolume volume{geometry};
    Rig& rig = volume.rig;
    const blockio::MemoryImage original = volume.device().snapshot();
    const blockio::MemoryImage image = dump(original);
    const std::string bytes = bytes_of(image);
    for (const char* word : {"file with a longer name", "another name", "sparse", "a few bytes", "user.large"}) {
      EXPECT_NE(bytes_of(original).find(word), std::string::npos) << word;
      EXPECT_EQ(bytes.find(word), std::string::npos) << word;
    }
    EXPECT_EQ(bytes.find(volume::testing::pattern(100, 1)), std::string::npos) << "contents";
    EXPECT_EQ(bytes.find(volume::testing::pattern(100, 3)), std::string::npos) << "an attribute's value";

    rig.mount();
    const auto shape = shape_of(rig, kRootInode);
    const volume::Attributes attributes = rig.stat(volume.sparse);
    rig.unmount();
    volume.device().restore(image);
    EXPECT_EQ(check(volume.device()).total(), 0U);
    rig.mount();
    EXPECT_EQ(shape_of(rig, kRootInode), shape);
    EXPECT_EQ(rig.stat(volume.sparse).size, attributes.size);
    EXPECT_EQ(rig.stat(volume.sparse).blocks, attributes.blocks);
    rig.check();
    rig.unmount();
  }
}

// Those that are in what is left out: the log, contents, an older superblock, copies that differ and are both valid.
bool is_left_out(fsck::FindingId id) {
  using fsck::FindingId;
  switch (id) {
    case FindingId::no_superblock:
    case FindingId::superblock_copies_differ:
    case FindingId::superblock_slot_lost:
    case FindingId::log_not_empty:
    case FindingId::log_unreadable:
    case FindingId::log_distrusted:
    case FindingId::log_cut:
    case FindingId::log_record_bad:
    case FindingId::data_checksum_wrong: return true;
    default: return false;
  }
}

TEST_F(MetadumpTest, TheSameFindings) {
  int shown = 0;
  for (const std::vector<DamageCase>& cases : {structure_cases(), item_cases()}) {
    for (const DamageCase& damage : cases) {
      if (is_left_out(damage.id)) continue;
      SCOPED_TRACE(fsck::kind_of(damage.id).name);
      DamagedVolume volume{damage.geometry};
      damage.damage(volume);
      if (check(volume.device(), damage.options).has(fsck::FindingId::log_not_empty)) continue;
      const Names expected = names_of(check(volume.device(), damage.options));
      volume.device().restore(dump(volume.device().snapshot()));
      EXPECT_EQ(names_of(check(volume.device(), damage.options)), expected);
      ++shown;
    }
  }
  EXPECT_GT(shown, 40);
}

TEST_F(MetadumpTest, NothingIsWrittenOver) {
  DamagedVolume volume;
  const std::string source = save_image(scratch_, "volume.img", volume.device().snapshot());
  const auto reader = VolumeReader::open(source);
  ASSERT_TRUE(reader);
  const Status written = write_metadump(*reader, source);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), ErrorCode::already_exists);
  EXPECT_TRUE(bytes_of(load_image(source)) == bytes_of(volume.device().snapshot()));
}

}  // namespace
}  // namespace ashlar::ctl
