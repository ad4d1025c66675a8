// Images whose bytes are anything, with checksums that are right: findings, never a crash, a hang or an access out of
// bounds.
#include <chrono>
#include <random>

#include "fsck/repair.h"
#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

constexpr std::chrono::seconds kTimeForEach{2};
constexpr int kMostRounds = 2000;

void flip(std::span<std::byte> bytes, std::mt19937_64& random) {
  if (bytes.empty()) return;
  for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
    std::byte& byte = bytes[random() % bytes.size()];
    switch (random() % 4) {
      case 0: byte = std::byte{0}; break;
      case 1: byte = std::byte{0xff}; break;
      default: byte ^= std::byte(1U << (random() % 8));
    }
  }
}

void damage_something(ImageEditor& image, std::mt19937_64& random) {
  const std::vector<NodePath> nodes = image.nodes();
  switch (random() % 8) {
    case 0: {
      // Of the superblock, what is not its identity; most values are refused as a whole.
      auto bytes = std::as_writable_bytes(std::span(&image.superblock, 1)).subspan(96, 400);
      flip(bytes, random);
      image.write_superblock();
      break;
    }
    case 1: image.edit_table_block(0, [&](std::span<std::byte> block) { flip(block.subspan(24, 300), random); }); break;
    case 2: {
      std::vector<std::byte> record(random() % 400 / 4 * 4);
      for (std::byte& byte : record) byte = std::byte(random() % 6);
      image.write_log_record(record, static_cast<std::uint16_t>(random() % 20));
      break;
    }
    default:
      image.edit_node(nodes[random() % nodes.size()], [&](std::span<std::byte> node) {
        // The generation, level and count are among it; sometimes just the items, sometimes anything.
        const std::size_t begin = random() % 4 == 0 ? 40 : sizeof(format::NodeHeader);
        const std::size_t end = random() % 2 == 0 ? node.size() : 600;
        flip(node.subspan(begin, end - begin), random);
      });
  }
}

// What no bytes can prevent: that a repair ends, and that a check finds nothing after it.
void expect_repair(SampleVolume& sample, blockio::IoQueue& io, Report report) {
  blockio::BlockDevice& device = sample.device();
  CheckOptions options;
  options.heal = true;
  const Result<Report> healed = check_volume(device, io, options);
  if (!healed) {  // a feature that forbids writing, or more blocks than the device has
    const ErrorCode code = healed.error().code();
    EXPECT_TRUE(code == ErrorCode::unsupported_format || code == ErrorCode::device_too_small)
        << healed.error().message();
    return;
  }
  if (healed->is_repaired() || report.takes(Repair::impossible)) return;
  const Status repaired = repair_volume(device, io, options, report);
  if (!repaired) {
    EXPECT_EQ(repaired.error().code(), ErrorCode::no_space) << repaired.error().message();
    return;
  }
  const Report after = check(device);
  EXPECT_TRUE(after.is_clean()) << after.findings().front().text;
  ASSERT_TRUE(sample.rig.try_mount());
  sample.rig.unmount();
  const Report mounted = check(device);
  EXPECT_TRUE(mounted.is_clean()) << mounted.findings().front().text;
}

void try_all(const Geometry& geometry, unsigned seed) {
  SampleVolume sample(geometry);
  const blockio::MemoryImage pristine = sample.device().snapshot();
  const auto io = sample.device().open_queue({});
  ASSERT_TRUE(io);
  std::mt19937_64 random(seed);
  const auto end = std::chrono::steady_clock::now() + kTimeForEach;
  int round = 0;
  int wrong = 0;
  for (; round < kMostRounds && std::chrono::steady_clock::now() < end; ++round) {
    sample.device().restore(pristine);
    ImageEditor image(sample.device());
    damage_something(image, random);
    CheckOptions options;
    options.data = round % 4 == 0;
    const Result<Report> report = check_volume(sample.device(), **io, options);
    if (!report || !report->is_clean()) ++wrong;
    if (report && !report->is_clean() && round % 2 == 0) expect_repair(sample, **io, *report);
  }
  ::testing::Test::RecordProperty("rounds", round);
  EXPECT_GT(wrong, 0);  // bits of times and modes make no contradiction
}

TEST(Hostile, SmallNodes) { try_all(volume::testing::kSmallNodes, 1); }
TEST(Hostile, MiddleNodes) { try_all(volume::testing::kMiddleNodes, 2); }
TEST(Hostile, LargeNodes) { try_all(volume::testing::kLargeNodes, 3); }

}  // namespace
}  // namespace ashlar::fsck::testing
