// ashlarctl metadump: what it writes is a volume with the same shape and the same faults, and without a word of what
// people put there.
#include "fs/ctl/metadump.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

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

// Those that are in what is left out: contents, chunks of the log that are not valid, an older superblock, copies that
// differ and are both valid.
bool is_left_out(fsck::FindingId id) {
  using fsck::FindingId;
  switch (id) {
    case FindingId::no_superblock:
    case FindingId::superblock_copies_differ:
    case FindingId::superblock_slot_lost:
    case FindingId::log_unreadable:
    case FindingId::log_cut:
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
      const Names expected = names_of(check(volume.device(), damage.options));
      volume.device().restore(dump(volume.device().snapshot()));
      EXPECT_EQ(names_of(check(volume.device(), damage.options)), expected);
      ++shown;
    }
  }
  EXPECT_GT(shown, 40);
}

// Names that the log changes, puts, takes away, and puts again, in a volume that was not unmounted.
TEST_F(MetadumpTest, TheLogWithTheSameNamesAsTheTree) {
  DamagedVolume volume;
  Rig& rig = volume.rig;
  rig.mount();
  const auto name_of = [](int i) { return "written to the log " + std::to_string(i); };
  for (int i = 0; i < 20; ++i) {
    const InodeNumber file = rig.make_file(volume.right, name_of(i));
    rig.write(file, 0, volume::testing::pattern(i % 3 == 0 ? 9000 : 100, 77));
    const std::string value = "a secret in the log";
    EXPECT_TRUE(rig.volume().set_xattr(rig.context(), file, "user.logged", std::as_bytes(std::span(value)), 0));
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(rig.volume().unlink(rig.context(), volume.right, name_of(i)));
    EXPECT_TRUE(rig.volume().unlink(rig.context(), volume.right, "file with a longer name " + std::to_string(i)));
  }
  rig.make_file(volume.right, "file with a longer name 3");
  EXPECT_TRUE(rig.volume().make_symlink(rig.context(), volume.right, "a logged link", "to a secret place"));
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();

  const Names findings = names_of(check(volume.device()));
  EXPECT_EQ(findings, Names{"log_not_empty"});
  const blockio::MemoryImage original = volume.device().snapshot();
  const blockio::MemoryImage image = dump(original);
  const std::string bytes = bytes_of(image);
  for (const char* word : {"written to the log", "longer name", "a secret", "a logged link", "user.logged"}) {
    EXPECT_NE(bytes_of(original).find(word), std::string::npos) << word;
    EXPECT_EQ(bytes.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(bytes.find(volume::testing::pattern(100, 77)), std::string::npos) << "contents";

  rig.mount();
  const auto shape = shape_of(rig, kRootInode);
  rig.unmount();
  volume.device().restore(image);
  EXPECT_EQ(names_of(check(volume.device())), findings);
  rig.mount();
  EXPECT_EQ(shape_of(rig, kRootInode), shape);
  rig.check();
  rig.unmount();
}

// Of names with one hash, which chance never makes, the second is scrambled too, though not to where it belongs.
TEST_F(MetadumpTest, NamesWithOneHash) {
  DamagedVolume volume;
  volume.edit_items([&volume](ItemEditor& items) {
    const std::string first = dirent_value("the first of two", volume.file, DT_REG);
    const std::string second = dirent_value("the second one", volume.other, DT_REG);
    const format::Key key{volume.left, format::ItemKind::dirent, items.hash("the first of two")};
    items.put(key, first + second);
  });
  const std::string bytes = bytes_of(dump(volume.device().snapshot()));
  EXPECT_EQ(bytes.find("the first of two"), std::string::npos);
  EXPECT_EQ(bytes.find("the second one"), std::string::npos);
}

TEST_F(MetadumpTest, NoHalfImageIsLeft) {
  DamagedVolume volume;
  const std::string source = save_image(scratch_, "volume.img", volume.device().snapshot());
  const auto reader = VolumeReader::open(source);
  ASSERT_TRUE(reader);
  const std::string target = scratch_.file("dump.img");
  // Files of this process may not become as large as the volume: making the image fails after it was created.
  struct rlimit old_limit {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  struct rlimit small = old_limit;
  small.rlim_cur = 1U << 20;
  ASSERT_NE(std::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status written = write_metadump(*reader, target);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  ASSERT_FALSE(written);
  EXPECT_FALSE(std::filesystem::exists(target));
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
