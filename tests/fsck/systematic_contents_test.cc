// The same volume with damage where there is no second copy: blocks of data, and chunks of the log. A sample of the
// blocks as a rule; many more with ASHLAR_DAMAGE_ALL set.
#include <gmock/gmock.h>

#include <algorithm>

#include "fs/format/places.h"
#include "tests/fsck/repairing.h"
#include "tests/fsck/systematic_volume.h"

namespace ashlar::fsck::testing {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kSampledBlocks = 4;
constexpr std::size_t kBlockStep = 16;  // each so many-th block, when everything is damaged
constexpr std::uint64_t kScrubBudget = 4U << 20;
constexpr std::size_t kScrubBuffer = 1U << 20;

class SystematicContents : public SystematicVolume, public ::testing::TestWithParam<std::size_t> {
 protected:
  void flip(BlockNumber block) {
    ImageEditor image(rig.device());
    const std::uint64_t offset = image.layout().byte_offset(block);
    Bytes bytes = image.read_at(offset, image.layout().block_size());
    bytes[bytes.size() / 2] ^= std::byte{16};
    image.write_at(offset, bytes);
  }

  // Block by block: EIO at `damaged`, what was there before elsewhere.
  void expect_one_bad_block(const DataBlock& damaged, const std::string& contents) {
    const std::size_t block_size = rig.block_size();
    for (std::size_t offset = 0; offset < contents.size(); offset += block_size) {
      const Result<std::string> read = rig.try_read(damaged.inode, offset, block_size);
      if (offset == damaged.file_block * block_size) {
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code(), ErrorCode::io_error);
      } else {
        ASSERT_TRUE(read) << offset;
        EXPECT_EQ(*read, contents.substr(offset, block_size));
      }
    }
  }

  // What a scrub finds in the mounted volume.
  std::vector<volume::DataFinding> scrub() {
    blockio::AlignedBuffer buffer(kScrubBuffer);
    std::vector<volume::DataFinding> found;
    for (volume::ScrubPosition at; at.phase != volume::ScrubPosition::Phase::done;) {
      const Result<volume::ScrubStep> step = rig.volume().scrub(rig.context(), at, kScrubBudget, buffer.span());
      EXPECT_TRUE(step);
      if (!step) break;
      EXPECT_TRUE(step->metadata.findings.empty());
      found.insert(found.end(), step->data.begin(), step->data.end());
      at = step->next;
    }
    return found;
  }

  [[nodiscard]] std::string contents_of(InodeNumber inode) {
    restore();
    rig.mount();
    std::string contents = rig.read(inode, 0, rig.stat(inode).size);
    rig.crash();
    return contents;
  }
};

TEST_P(SystematicContents, DataBlocks) {
  ASSERT_GT(data.size(), 3000U);
  const std::size_t count = data.size() / kBlockStep;
  CheckOptions with_data;
  with_data.data = true;
  for (const std::size_t index : share_of(GetParam(), count, kSampledBlocks)) {
    const DataBlock& block = data[index * kBlockStep];
    SCOPED_TRACE("inode " + std::to_string(block.inode.value()) + " block " + std::to_string(block.file_block));
    const std::string contents = contents_of(block.inode);
    restore();
    flip(block.physical);

    rig.mount();
    expect_one_bad_block(block, contents);
    if (HasFatalFailure()) return;
    Picture after = picture_of(rig, block.inode);
    const std::vector<volume::DataFinding> found = scrub();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].inode, block.inode);
    EXPECT_EQ(found[0].offset, block.file_block * rig.block_size());
    EXPECT_EQ(found[0].length, rig.block_size());
    rig.crash();
    EXPECT_EQ(after.size(), before.size());
    EXPECT_EQ(after[block.inode.value()].paths, before[block.inode.value()].paths);
    expect_only_lost(after, {block.inode.value()});

    // Nothing but that, in what the daemon left and in what it had found.
    for (const bool used : {true, false}) {
      if (!used) {
        restore();
        flip(block.physical);
      }
      const Report report = check(rig.device(), with_data);
      EXPECT_EQ(names_of(report),
                used ? Names{"data_checksum_wrong"} : (Names{"data_checksum_wrong", "log_not_empty"}));
      EXPECT_TRUE(std::any_of(report.findings().begin(), report.findings().end(), [&block](const Finding& finding) {
        return finding.text.find(fmt::format("inode {}: data at file block {} ", block.inode.value(),
                                             block.file_block)) != std::string::npos;
      }));
    }
  }
}

// Chunks that had each been acknowledged, damaged in each way: what was before is there, and that something is missing
// is noticed unless it was the last.
class SystematicLog : public SystematicVolume, public ::testing::Test {
 protected:
  static constexpr std::size_t kChunks = 6;

  SystematicLog() {
    rig.mount();
    for (std::size_t i = 0; i < kChunks; ++i) {
      starts_.push_back(rig.volume().store().stats().log.chunk_bytes);
      rig.make_file(kRootInode, name_of(i));
      EXPECT_TRUE(rig.volume().sync_all(rig.context()));
    }
    rig.crash();
    pristine = rig.device().snapshot();
  }

  static std::string name_of(std::size_t index) { return "file in the log " + std::to_string(index); }

  // Names of the files in the log that are there.
  std::size_t files_there() {
    rig.mount();
    std::size_t count = 0;
    for (const std::string& name : rig.names(kRootInode)) count += name.starts_with("file in the log ") ? 1U : 0U;
    rig.crash();
    return count;
  }

  std::vector<std::uint64_t> starts_;  // from the log's first chunk
};

TEST_F(SystematicLog, Chunks) {
  for (std::size_t chunk = 0; chunk < kChunks; ++chunk) {
    restore();
    ImageEditor image(rig.device());
    const auto place = [&image, this](std::size_t index) {
      return image.layout().byte_offset(
          format::log_block(image.layout(), Lsn{image.superblock.log_start + starts_[index]}));
    };
    const Bytes good = image.read_at(place(chunk), rig.block_size());
    Bytes flipped = good;
    flipped[100] ^= std::byte{8};
    const Bytes others = image.read_at(place((chunk + 1) % kChunks), rig.block_size());
    const std::vector<std::pair<std::string, Bytes>> damages = {
        {"zeros", Bytes(good.size())}, {"a bit", flipped}, {"another chunk", others}};
    for (const auto& [how, bytes] : damages) {
      SCOPED_TRACE("chunk " + std::to_string(chunk) + ": " + how);
      restore();
      image.write_at(place(chunk), bytes);
      const bool is_noticed = chunk + 1 < kChunks;
      Report report = check(rig.device());
      EXPECT_EQ(report.has(FindingId::log_cut), is_noticed);
      EXPECT_EQ(report.is_clean(), !is_noticed);
      EXPECT_EQ(files_there(), chunk);
      EXPECT_EQ((ImageEditor(rig.device()).superblock.flags & format::kHasErrors) != 0, is_noticed);

      restore();
      image.write_at(place(chunk), bytes);
      const auto io = rig.device().open_queue({});
      const Status repaired = repair_volume(rig.device(), **io, healing(), report);
      ASSERT_TRUE(repaired) << repaired.error().message();
      EXPECT_TRUE(check(rig.device()).is_clean());
      EXPECT_EQ(files_there(), chunk);
      expect_only_lost(view(), {});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, SystematicContents, ::testing::Range(std::size_t{0}, kShards));

}  // namespace
}  // namespace ashlar::fsck::testing
