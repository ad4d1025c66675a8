// A volume after a crash, of which data that the log's end names has become unreadable: what fsck says and does, and
// what a mount then finds.
#include <gmock/gmock.h>

#include "blockio/faulty_device.h"
#include "fs/store/superblock_io.h"
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/repairing.h"

namespace ashlar::fsck::testing {
namespace {

using volume::testing::pattern;
using volume::testing::same;

constexpr std::size_t kBlocks = 32;
constexpr std::size_t kBlockSize = 4096;
constexpr std::size_t kUnreadable = 3;  // block of "f"

class LogData : public ::testing::Test {
 protected:
  void SetUp() override {
    Rig& rig = volume.rig;
    rig.mount();
    write_file("before", 1);
    sync();
    // One sync makes both durable, and nothing that comes later says so.
    write_file("f", 2);
    write_file("other", 3);
    sync();
    rig.crash();
    bad_ = place_of(2, kUnreadable);
    faulty.set_plan([this](const blockio::FaultQuestion& question) {
      const blockio::IoOp& op = question.op;
      const bool is_hit = op.kind == blockio::OpKind::read && op.offset <= bad_ && bad_ < op.offset + op.length;
      return is_hit ? blockio::Fault::fail : blockio::Fault::none;
    });
  }
  void write_file(std::string_view name, unsigned file) {
    volume.rig.write(volume.rig.make_file(kRootInode, name), 0, contents(file));
  }
  void sync() { ASSERT_TRUE(volume.rig.volume().sync_all(volume.rig.context())); }
  // Unlike that of any file of the sample.
  [[nodiscard]] static std::string contents(unsigned file) { return pattern(kBlocks * kBlockSize, 5000 + file); }

  // Where a block of a file is on the device.
  [[nodiscard]] std::uint64_t place_of(unsigned file, std::size_t block) {
    const std::string all = contents(file);
    const std::string_view wanted = std::string_view(all).substr(block * kBlockSize, kBlockSize);
    const blockio::MemoryImage image = volume.device().snapshot();
    std::string found(kBlockSize, '\0');
    for (std::uint64_t at = 0; at < image.size(); at += kBlockSize) {
      image.read(at, std::as_writable_bytes(std::span(found)));
      if (found == wanted) return at;
    }
    ADD_FAILURE() << "block " << block << " is not there";
    return 0;
  }
  void lose(std::uint64_t offset) {
    blockio::MemoryImage image = volume.device().snapshot();
    image.zero(offset, kBlockSize);
    volume.device().restore(std::move(image));
  }

  // Mounts the device that fails, and tells what is there: the names, with ! behind those not whole.
  [[nodiscard]] Names mounted(bool read_only) {
    volume::VolumeOptions options = Rig::quiet_options();
    options.store.read_only = read_only;
    const auto io = faulty.open_queue({});
    EXPECT_TRUE(io);
    auto opened = volume::Volume::open(faulty, **io, options);
    EXPECT_TRUE(opened) << opened.error().message();
    if (!opened) return {};
    const std::unique_ptr<volume::Volume> mounted = *std::move(opened);
    volume::Context context{**io};
    Names names;
    unsigned file = 0;
    for (const std::string name : {"before", "f", "other"}) {
      ++file;
      const auto found = mounted->lookup(context, kRootInode, name);
      if (!found) continue;
      blockio::AlignedBuffer buffer((kBlocks + 2) * kBlockSize);
      const auto read = mounted->read(context, found->inode, 0, kBlocks * kBlockSize, buffer.span());
      const bool is_whole = read && same({reinterpret_cast<const char*>(read->data()), read->size()}, contents(file));
      if (!read) {
        EXPECT_EQ(read.error().code(), ErrorCode::io_error);
      }
      names.insert(is_whole ? name : name + "!");
    }
    EXPECT_EQ(mounted->store().stats().errors_here.metadata, is_marked ? 1U : 0U);
    EXPECT_GE(mounted->store().stats().errors_here.data, 1U);
    if (!read_only) {
      EXPECT_EQ((superblock().flags & format::kHasErrors) != 0, is_marked);
      EXPECT_TRUE(mounted->close(**io));
    }
    return names;
  }
  [[nodiscard]] format::Superblock superblock() {
    const auto io = volume.device().open_queue({});
    const auto read = store::read_superblock(volume.device().geometry(), **io, true);
    EXPECT_TRUE(read);
    return *read;
  }

  DamagedVolume volume;
  blockio::FaultyDevice faulty{volume.device()};
  bool is_marked = false;
  std::uint64_t bad_ = 0;
};

TEST_F(LogData, UnreadableItCountsWhenTheRestIsThere) {
  EXPECT_EQ(names_of(check(faulty)), (Names{"log_not_empty", "log_data_unreadable"}));
  EXPECT_TRUE(check(faulty).is_clean());
  EXPECT_TRUE(repair(faulty).is_repaired());
  CheckOptions with_data;
  with_data.data = true;
  EXPECT_THAT(names_of(check(faulty, with_data)), ::testing::Contains("data_checksum_wrong"));
  const Names all{"before", "f!", "other"};
  EXPECT_EQ(mounted(true), all);
  EXPECT_EQ(mounted(false), all);
  EXPECT_TRUE(check(volume.device()).is_clean());
}

// A repair of something else takes the log with it as far as it counts.
TEST_F(LogData, UnreadableItIsKeptByARepair) {
  volume.edit_image([](ImageEditor& image) {
    image.superblock.node_count = image.superblock.node_count + 1;
    image.write_superblock();
  });
  EXPECT_THAT(names_of(check(faulty)), ::testing::Contains("log_data_unreadable"));
  EXPECT_TRUE(repair(faulty).is_repaired());
  EXPECT_TRUE(check(volume.device()).is_clean());
  volume.rig.mount();
  EXPECT_TRUE(same(volume.rig.read(volume.rig.find(kRootInode, "other"), 0, 1U << 20), contents(3)));
  EXPECT_TRUE(same(volume.rig.read(volume.rig.find(kRootInode, "f"), 0, 1U << 20), contents(2)));
  volume.rig.unmount();
}

TEST_F(LogData, UnreadableItEndsTheLogWhenOtherDataIsMissing) {
  lose(place_of(3, 7));
  EXPECT_EQ(names_of(check(faulty)), (Names{"log_not_empty", "log_unreadable", "log_distrusted"}));
  EXPECT_FALSE(check(faulty).is_repaired());
  is_marked = true;
  // "f" was made by a record before the one that wrote it.
  const Names first{"before", "f!"};
  EXPECT_EQ(mounted(true), first);
  EXPECT_EQ(mounted(false), first);
  is_marked = false;
  EXPECT_TRUE(check(volume.device()).is_clean());
}

TEST_F(LogData, ARepairEndsTheLogThereToo) {
  lose(place_of(3, 7));
  EXPECT_TRUE(repair(faulty).is_repaired());
  EXPECT_TRUE(check(volume.device()).is_clean());
  volume.rig.mount();
  EXPECT_TRUE(same(volume.rig.read(volume.rig.find(kRootInode, "before"), 0, 1U << 20), contents(1)));
  volume.rig.unmount();
}

}  // namespace
}  // namespace ashlar::fsck::testing
