// A volume with thousands of files of all kinds, and each piece of its metadata damaged in turn, in each way that
// devices damage things. One copy, whichever: nothing is lost, neither with the daemon nor with fsck. Both: fsck ends
// clean, and only what was in that piece is lost. A sample as a rule; everything with ASHLAR_DAMAGE_ALL set.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "tests/crash/budget.h"
#include "tests/fsck/repairing.h"
#include "tests/fsck/systematic_volume.h"

namespace ashlar::fsck::testing {
namespace {

constexpr std::size_t kSample = 8;  // pieces that are looked at as a rule

using Bytes = std::vector<std::byte>;

class Systematic : public SystematicVolume, public ::testing::TestWithParam<std::size_t> {
 protected:
  // Each way to damage a copy: what is there instead, none when that way is not for such a piece.
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
    if (piece.other_slot) all.emplace_back("the other slot's", image.read_at(*piece.other_slot, piece.length));
    if (piece.node) {
      Bytes older = good;
      auto& header = *reinterpret_cast<format::NodeHeader*>(older.data());
      header.generation = header.generation - 1;
      format::seal_node(older);
      all.emplace_back("an older generation", std::move(older));
    }
    // One way after the other where a sanitizer makes it slow.
    if (crash_test::kSanitized && !damages_all()) return {all[index % all.size()]};
    return all;
  }

  // This shard's: always all of what is no node, as there are few.
  std::vector<std::size_t> chosen() {
    std::vector<std::size_t> indexes = share_of(GetParam(), pieces.size(), kSample);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const bool is_asked_for = i % kShards == GetParam() && inodes[i].empty();
      if (is_asked_for && std::find(indexes.begin(), indexes.end(), i) == indexes.end()) indexes.push_back(i);
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

  void expect_healed(ImageEditor& image, std::uint64_t offset, const Bytes& bytes) {
    restore();
    image.write_at(offset, bytes);
    const Report report = check(rig.device(), healing());
    EXPECT_TRUE(report.is_repaired());
    EXPECT_FALSE(report.is_clean());
    expect_same_metadata();

    restore();
    image.write_at(offset, bytes);
    const Picture after = view();
    ASSERT_EQ(after.size(), before.size());
    expect_only_lost(after, {});
    const Report seen = check(rig.device(), healing());
    EXPECT_TRUE(seen.is_repaired()) << seen.findings().front().text;
  }
};

TEST_P(Systematic, OneCopy) {
  ASSERT_GT(pieces.size(), 200U);
  ASSERT_GT(before.size(), 2500U);
  for (const std::size_t index : chosen()) {
    const MetadataPiece& piece = pieces[index];
    restore();
    ImageEditor image(rig.device());
    for (const auto& [how, bytes] : damages(image, index)) {
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        SCOPED_TRACE(piece.name + " " + std::to_string(index) + " copy " + std::to_string(copy) + ": " + how);
        expect_healed(image, piece.offsets[copy], bytes);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(Systematic, BothCopies) {
  for (const std::size_t index : chosen()) {
    const MetadataPiece& piece = pieces[index];
    restore();
    ImageEditor image(rig.device());
    for (const auto& [how, bytes] : damages(image, index)) {
      SCOPED_TRACE(piece.name + " " + std::to_string(index) + ": " + how);
      restore();
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

INSTANTIATE_TEST_SUITE_P(Shards, Systematic, ::testing::Range(std::size_t{0}, kShards));

}  // namespace
}  // namespace ashlar::fsck::testing
