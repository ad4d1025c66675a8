// The contents of files against their checksums.
#include <gmock/gmock.h>

#include <cstring>

#include "blockio/faulty_device.h"
#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

std::vector<std::string> texts_of(const Report& report) {
  std::vector<std::string> texts;
  for (const Finding& finding : report.findings()) texts.push_back(finding.text);
  return texts;
}

std::string damaged(InodeNumber inode, std::uint64_t block) {
  return "inode " + std::to_string(inode.value()) + ": data at file block " + std::to_string(block) +
         " does not match its checksum";
}

CheckOptions with_data() {
  CheckOptions options;
  options.data = true;
  return options;
}

// A transfer of many blocks fails for one sector; only that one's block is lost.
TEST(Data, AnUnreadableSector) {
  DamagedVolume volume;
  format::ExtentItem extent;
  volume.edit_items([&](ItemEditor& items) { extent = items.first_extent(volume.file); });
  const std::uint64_t bad = (extent.physical + 3) * volume.rig.block_size() + 512;
  blockio::FaultyDevice device(volume.device());
  device.set_plan([bad](const blockio::FaultQuestion& question) {
    const blockio::IoOp& op = question.op;
    const bool is_hit = op.kind == blockio::OpKind::read && op.offset <= bad && bad < op.offset + op.length;
    return is_hit ? blockio::Fault::fail : blockio::Fault::none;
  });
  EXPECT_THAT(texts_of(check(device, with_data())), ::testing::ElementsAre(damaged(volume.file, 3)));
}

// More damage than is read at once, in order.
TEST(Data, ManyDamagedBlocks) {
  DamagedVolume volume;
  std::vector<BlockNumber> places;
  volume.edit_items([&](ItemEditor& items) {
    for (const format::Key& key : items.keys_of(volume.sparse, format::ItemKind::extent)) {
      format::ExtentItem extent{};
      const store::ItemValue value = items.get(key);
      std::memcpy(&extent, value.data(), sizeof extent);
      places.emplace_back(extent.physical);
    }
  });
  ASSERT_EQ(places.size(), SampleVolume::kSparseBlocks);
  std::vector<std::string> expected;
  volume.edit_image([&](ImageEditor& image) {
    for (std::size_t i = 0; i < places.size(); i += 3) {
      image.damage_block(places[i]);
      expected.push_back(damaged(volume.sparse, 2 * i));
    }
  });
  EXPECT_EQ(texts_of(check(volume.device(), with_data())), expected);
}

}  // namespace
}  // namespace ashlar::fsck::testing
