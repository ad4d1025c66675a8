// How nodes are read: many at once, answered in any order, and some not at all.
#include <algorithm>

#include "blockio/faulty_device.h"
#include "blockio/file_device.h"
#include "fsck/node_reader.h"
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/save_image.h"

namespace ashlar::fsck::testing {
namespace {

constexpr int kFiles = 3000;

// Of more leaves than are read at once, on a device that takes its time.
class Reading : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(scratch_.ready());
    Rig rig(volume::testing::kSmallNodes);
    for (int i = 0; i < kFiles; ++i) {
      const InodeNumber file = rig.make_file(kRootInode, std::to_string(i));
      rig.write(file, 0, volume::testing::pattern(300, static_cast<unsigned>(i)));
    }
    rig.unmount();
    auto opened = blockio::open_device(save_image(scratch_, "volume.img", rig.device().snapshot()), {});
    ASSERT_TRUE(opened) << opened.error().message();
    file_ = *std::move(opened);
  }

  [[nodiscard]] blockio::BlockDevice& file() { return *file_; }

 private:
  ashlar::testing::Scratch scratch_;
  std::unique_ptr<blockio::FileDevice> file_;
};

TEST_F(Reading, InAnyOrder) {
  blockio::FaultyDevice late(file());
  late.set_plan(blockio::at_random(1, 20, blockio::Fault::delay));
  for (blockio::BlockDevice* const device : {&file(), static_cast<blockio::BlockDevice*>(&late)}) {
    const Report report = check(*device);
    EXPECT_EQ(report.total(), 0U);
    EXPECT_EQ(report.inodes, kFiles + 1U);
    EXPECT_GT(report.nodes, 10 * NodeReader::kBatchNodes);
  }
}

// Wherever it is that the copies differ.
TEST_F(Reading, OneByteOfTheSecondCopy) {
  ImageEditor image(file());
  const format::NodePointer leaf = image.pointer_to(image.leaves()[100]);
  const std::uint64_t place = image.layout().byte_offset(leaf.address[1]);
  const std::vector<std::byte> whole = image.read_at(place, image.layout().node_size());
  for (const std::size_t at : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
    SCOPED_TRACE(at);
    std::vector<std::byte> changed = whole;
    changed[at] ^= std::byte{4};
    image.write_at(place, changed);
    const Report report = check(file());
    EXPECT_EQ(names_of(report), Names{"node_copy_bad"});
    EXPECT_EQ(report.total(), 1U);
  }
  image.write_at(place, whole);
  EXPECT_EQ(check(file()).total(), 0U);
}

// At the edges of what is read together, and within.
TEST_F(Reading, OneNodeThatCannotBeRead) {
  ImageEditor image(file());
  const format::Layout layout = image.layout();
  const std::vector<NodePath> leaves = image.leaves();
  constexpr std::size_t kBatch = NodeReader::kBatchNodes;
  for (const std::size_t index : {std::size_t{0}, kBatch - 1, kBatch, 3 * kBatch + 7, leaves.size() - 1}) {
    SCOPED_TRACE(index);
    const format::NodePointer leaf = image.pointer_to(leaves[index]);
    const auto check_without = [&](std::size_t first_copy, std::size_t copies) {
      blockio::FaultyDevice device(file());
      device.set_plan([&](const blockio::FaultQuestion& question) {
        const auto holds = [&](BlockNumber address) {
          const std::uint64_t begin = layout.byte_offset(address);
          return question.op.offset <= begin && begin < question.op.offset + question.op.length;
        };
        const auto bad = std::span(leaf.address).subspan(first_copy, copies);
        return std::ranges::any_of(bad, holds) ? blockio::Fault::fail : blockio::Fault::none;
      });
      return check(device);
    };
    const std::string place = "tree node at block " + std::to_string(leaf.address[0].value());
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      const Report report = check_without(copy, 1);
      ASSERT_EQ(report.total(), 1U);
      EXPECT_EQ(report.findings().front().id, FindingId::node_copy_bad);
      EXPECT_TRUE(report.findings().front().text.starts_with(place + ": copy " + std::to_string(copy)));
    }
    const Report report = check_without(0, format::kCopies);
    ASSERT_FALSE(report.findings().empty());
    EXPECT_EQ(report.findings().front().id, FindingId::node_lost);
    EXPECT_TRUE(report.findings().front().text.starts_with(place + ", of "));
    EXPECT_GT(report.inodes, kFiles - 20U);  // those of all other leaves
  }
}

// Room is made for as many inodes and names as the superblock tells of, but not for more than there could be.
TEST_F(Reading, CountsThatNoVolumeCouldHold) {
  for (const std::uint64_t count : {~0ULL, 1ULL << 40}) {
    ImageEditor image(file());
    for (const format::ItemKind kind : {format::ItemKind::inode, format::ItemKind::dirent})
      image.superblock.item_count[static_cast<std::size_t>(kind)] = count;
    image.write_superblock();
    const Report report = check(file());
    EXPECT_EQ(names_of(report), Names{"item_count_wrong"});
    EXPECT_EQ(report.total(), 2U);
    EXPECT_EQ(report.inodes, kFiles + 1U);
  }
}

}  // namespace
}  // namespace ashlar::fsck::testing
