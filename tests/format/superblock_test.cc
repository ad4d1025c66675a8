#include "fs/format/superblock.h"
#include "fs/format/key.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "fs/format/places.h"
#include "tests/format/samples.h"

namespace ashlar::format {
namespace {

using testing::kVolumeBytes;
using testing::sample_superblock;

TEST(SuperblockTest, ASoundOneIsValid) {
  const Superblock superblock = sample_superblock();
  const Status status = validate(superblock, kVolumeBytes, true);
  EXPECT_TRUE(status) << status.error().message();
  EXPECT_TRUE(validate(superblock, kVolumeBytes + 12345, true));
}

TEST(SuperblockTest, TheMagicReadsAshlarFSOnDisk) {
  const Superblock superblock = sample_superblock();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(&superblock), 8), "AshlarFS");
}

TEST(SuperblockTest, SlotsAndCopiesLieApart) {
  EXPECT_EQ(superblock_offset(0, 0), 4096U);
  EXPECT_EQ(superblock_offset(1, 0), 8192U);
  EXPECT_EQ(superblock_offset(0, 1), (8U << 20) + 4096U);
  EXPECT_EQ(superblock_offset(1, 1), (8U << 20) + 8192U);
}

TEST(SuperblockTest, EveryDamagedByteIsNoticed) {
  const Superblock sound = sample_superblock();
  for (std::size_t i = 0; i < sizeof sound; ++i) {
    Superblock damaged = sound;
    reinterpret_cast<unsigned char*>(&damaged)[i] ^= 0x10;
    EXPECT_FALSE(validate(damaged, kVolumeBytes, false)) << "byte " << i;
  }
}

TEST(SuperblockTest, TellsTheFirstAndTheLastFailure) {
  Superblock superblock = sample_superblock();
  superblock.flags = kCleanlyUnmounted;
  seal(superblock);
  const Superblock before = superblock;
  note_failure(superblock, 10, "the first");
  note_failure(superblock, 20, "another");
  note_failure(superblock, 30, std::string(kReasonSize + 9, 'x'));
  EXPECT_EQ(superblock.flags, kCleanlyUnmounted | kHasErrors);
  EXPECT_EQ(superblock.failure_count, 3U);
  EXPECT_EQ(superblock.first_failure.time, 10U);
  EXPECT_EQ(std::string(superblock.first_failure.reason), "the first");
  EXPECT_EQ(superblock.last_failure.time, 30U);
  EXPECT_EQ(std::string(superblock.last_failure.reason, kReasonSize), std::string(kReasonSize, 'x'));
  note_failure(superblock, 40, "short");
  EXPECT_EQ(std::string(superblock.last_failure.reason, kReasonSize), "short" + std::string(kReasonSize - 5, '\0'));
  seal(superblock);
  EXPECT_TRUE(validate(superblock, kVolumeBytes, true));
  clear_failures(superblock);
  seal(superblock);
  EXPECT_EQ(std::memcmp(&superblock, &before, sizeof before), 0);
}

struct BadSuperblock {
  const char* what;
  ErrorCode code;
  std::function<void(Superblock&)> damage;
};

TEST(SuperblockTest, EveryInvalidFieldIsRejectedThoughTheChecksumHolds) {
  constexpr ErrorCode kCorrupt = ErrorCode::corrupt_structure;
  const BadSuperblock cases[] = {
      {"another magic", ErrorCode::not_a_volume, [](Superblock& s) { s.magic = 1; }},
      {"a newer version", ErrorCode::unsupported_format, [](Superblock& s) { s.version = kFormatVersion + 1; }},
      {"incompatible", ErrorCode::unsupported_format, [](Superblock& s) { s.incompatible = 1ULL << 63; }},
      {"block size 0", kCorrupt, [](Superblock& s) { s.block_size = 0; }},
      {"block size odd", kCorrupt, [](Superblock& s) { s.block_size = 4097; }},
      {"block size small", kCorrupt, [](Superblock& s) { s.block_size = 256; }},
      {"block size large", kCorrupt, [](Superblock& s) { s.block_size = 131072; }},
      {"node size 0", kCorrupt, [](Superblock& s) { s.node_size = 0; }},
      {"node size below block size", kCorrupt, [](Superblock& s) { s.node_size = 2048; }},
      {"node size large", kCorrupt, [](Superblock& s) { s.node_size = 131072; }},
      {"no blocks", kCorrupt, [](Superblock& s) { s.block_count = 0; }},
      {"blocks overflow", kCorrupt, [](Superblock& s) { s.block_count = ~0ULL; }},
      {"one block past the device", ErrorCode::device_too_small,
       [](Superblock& s) { s.block_count = kVolumeBytes / 4096 + 1; }},
      {"last group too short", kCorrupt, [](Superblock& s) { s.block_count = 32768 + 19; }},
      {"generation 0", kCorrupt, [](Superblock& s) { s.generation = 0; }},
      {"generation at its end", kCorrupt, [](Superblock& s) { s.generation = ~0ULL; }},
      {"generation too high", kCorrupt, [](Superblock& s) { s.generation = kMaxGeneration + 1; }},
      {"table size", kCorrupt, [](Superblock& s) { s.group_table_blocks = 2; }},
      {"table at 0", kCorrupt, [](Superblock& s) { s.group_table_first[0] = 0; }},
      {"table overflows", kCorrupt, [](Superblock& s) { s.group_table_first[1] = ~0ULL; }},
      {"table past the end", kCorrupt, [](Superblock& s) { s.group_table_first[1] = kVolumeBytes / 4096 - 1; }},
      {"table over a bitmap", kCorrupt, [](Superblock& s) { s.group_table_first[0] = 15; }},
      {"tables overlap", kCorrupt, [](Superblock& s) { s.group_table_first[1] = s.group_table_first[0] + 1; }},
      {"table over the second head", kCorrupt, [](Superblock& s) { s.group_table_first[1] = 2048; }},
      {"no log", kCorrupt, [](Superblock& s) { s.log_blocks = 0; }},
      {"log too small", kCorrupt, [](Superblock& s) { s.log_blocks = 255; }},
      {"log overflows", kCorrupt, [](Superblock& s) { s.log_blocks = ~0ULL; }},
      {"log crosses groups", kCorrupt, [](Superblock& s) { s.log_first = 32768 - 10; }},
      {"log over a superblock", kCorrupt, [](Superblock& s) { s.log_first = 2050; }},
      {"log epoch 0", kCorrupt, [](Superblock& s) { s.log_epoch = 0; }},
      {"log start odd", kCorrupt, [](Superblock& s) { s.log_start = 512; }},
      {"log start huge", kCorrupt, [](Superblock& s) { s.log_start = ~0ULL << 12; }},
      {"too many free", kCorrupt, [](Superblock& s) { s.free_blocks = kVolumeBytes / 4096; }},
      {"no nodes", kCorrupt, [](Superblock& s) { s.node_count = 0; }},
      {"next inode is the root", kCorrupt, [](Superblock& s) { s.next_inode = 1; }},
      {"next inode too high", kCorrupt, [](Superblock& s) { s.next_inode = kInodeNumberLimit + 1; }},
      {"next inode wraps", kCorrupt, [](Superblock& s) { s.next_inode = ~0ULL; }},
      {"root in the head", kCorrupt, [](Superblock& s) { s.root.address[0] = 0; }},
      {"root over a bitmap", kCorrupt, [](Superblock& s) { s.root.address[0] = 32768 + 14; }},
      {"root over the log", kCorrupt, [](Superblock& s) { s.root.address[1] = s.log_first + 3; }},
      {"root past the end", kCorrupt, [](Superblock& s) { s.root.address[1] = kVolumeBytes / 4096 - 3; }},
      {"root overflows", kCorrupt, [](Superblock& s) { s.root.address[0] = ~0ULL - 1; }},
      {"root copies overlap", kCorrupt, [](Superblock& s) { s.root.address[1] = s.root.address[0] + 3; }},
      {"tree too high", kCorrupt, [](Superblock& s) { s.root.level = 16; }},
      {"root newer", kCorrupt, [](Superblock& s) { s.root.generation = 2; }},
      {"root of generation 0", kCorrupt, [](Superblock& s) { s.root.generation = 0; }},
  };
  for (const auto& [what, code, damage] : cases) {
    Superblock superblock = sample_superblock();
    damage(superblock);
    seal(superblock);
    const Status status = validate(superblock, kVolumeBytes, false);
    ASSERT_FALSE(status) << what;
    EXPECT_EQ(status.error().code(), code) << what << ": " << status.error().message();
  }
}

TEST(SuperblockTest, AHighGenerationIsForReading) {
  Superblock superblock = sample_superblock();
  for (const std::uint64_t generation : {kWritableGenerations - 1, kWritableGenerations, kMaxGeneration}) {
    superblock.generation = generation;
    seal(superblock);
    EXPECT_TRUE(validate(superblock, kVolumeBytes, false)) << generation;
    EXPECT_EQ(validate(superblock, kVolumeBytes, true).has_value(), generation < kWritableGenerations) << generation;
  }
}

TEST(SuperblockTest, EpochsComeBackWithoutZero) {
  EXPECT_EQ(next_log_epoch(1), 2U);
  EXPECT_EQ(next_log_epoch(1ULL << 63), (1ULL << 63) + 1);
  EXPECT_EQ(next_log_epoch(~0ULL), 1U);
}

// Of blocks so large that a group has room for more.
TEST(SuperblockTest, ALogHasALargestSize) {
  constexpr std::uint32_t kBlockSize = 65536;
  constexpr std::uint64_t kBytes = 8ULL << 30;
  const auto layout = Layout::plan(kBytes, kBlockSize, kBlockSize);
  ASSERT_TRUE(layout);
  Superblock superblock = sample_superblock();
  layout->describe_in(superblock);
  superblock.free_blocks = 1;
  superblock.root.address[0] = 130'000;
  superblock.root.address[1] = 130'001;
  superblock.log_blocks = kMaxLogBytes / kBlockSize;
  seal(superblock);
  const Status largest = validate(superblock, kBytes, true);
  EXPECT_TRUE(largest) << largest.error().message();
  superblock.log_blocks = superblock.log_blocks + 1;
  seal(superblock);
  const Status status = validate(superblock, kBytes, true);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message(), "superblock: log too large");
}

TEST(SuperblockTest, FeaturesDecideWhatMayBeDone) {
  Superblock superblock = sample_superblock();
  superblock.compatible = 1ULL << 40;
  seal(superblock);
  EXPECT_TRUE(validate(superblock, kVolumeBytes, true));
  superblock.read_only_compatible = 1ULL << 40;
  seal(superblock);
  EXPECT_TRUE(validate(superblock, kVolumeBytes, false));
  const Status status = validate(superblock, kVolumeBytes, true);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::unsupported_format);
}

TEST(SuperblockTest, RandomFieldsNeverPassUncheckedArithmetic) {
  // Whatever a sealed superblock says, validation must end without touching anything out of bounds.
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    Superblock superblock = sample_superblock();
    auto* bytes = reinterpret_cast<unsigned char*>(&superblock);
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t value = random() % 2 == 0 ? ~0ULL >> (random() % 64) : random();
      std::memcpy(bytes + 96 + random() % 360, &value, random() % 8 + 1);
    }
    superblock.version = kFormatVersion;
    seal(superblock);
    if (!validate(superblock, kVolumeBytes, false)) continue;
    const Layout layout = Layout::of(superblock);
    EXPECT_TRUE(layout.check());
    EXPECT_LE(layout.block_count() * layout.block_size(), kVolumeBytes);
  }
}

TEST(SuperblockTest, TheUuidShownIsAnotherOnlyOnceItWasSet) {
  const auto shown = [](const Superblock& superblock) {
    const auto uuid = shown_uuid(superblock);
    return std::vector<std::uint8_t>(uuid.begin(), uuid.end());
  };
  const std::vector<std::uint8_t> own(std::begin(testing::kUuid), std::end(testing::kUuid));
  const std::vector<std::uint8_t> other(16, 0xee);
  const Superblock made = sample_superblock();
  Superblock superblock = made;
  EXPECT_EQ(shown(superblock), own);
  set_shown_uuid(superblock, std::span<const std::uint8_t, 16>(other));
  EXPECT_EQ(shown(superblock), other);
  EXPECT_EQ(std::memcmp(superblock.uuid, made.uuid, sizeof made.uuid), 0);
  EXPECT_EQ(superblock.compatible, kUserUuid);
  seal(superblock);
  EXPECT_TRUE(validate(superblock, kVolumeBytes, true));
  // Back to how mkfs made it.
  set_shown_uuid(superblock, superblock.uuid);
  seal(superblock);
  EXPECT_EQ(std::memcmp(&superblock, &made, sizeof made), 0);
}

std::size_t chosen(std::span<const Superblock> copies) {
  return choose_superblock(copies, kVolumeBytes, true).value_or(~std::size_t{0});
}

TEST(ChooseSuperblockTest, TheHighestValidGenerationIsTheVolume) {
  std::vector<Superblock> copies{sample_superblock(8), sample_superblock(8), sample_superblock(9),
                                 sample_superblock(9)};
  EXPECT_GE(chosen(copies), 2U);
  copies[2].label[0] ^= 1;
  EXPECT_EQ(chosen(copies), 3U);
  copies[3].label[0] ^= 1;
  EXPECT_LE(chosen(copies), 1U);
  copies[0].magic = 0;
  EXPECT_EQ(chosen(copies), 1U);
}

TEST(ChooseSuperblockTest, SaysWhyThereIsNone) {
  std::vector<Superblock> copies(4);
  EXPECT_EQ(choose_superblock(copies, kVolumeBytes, true).error().code(), ErrorCode::not_a_volume);
  EXPECT_EQ(choose_superblock({}, kVolumeBytes, true).error().code(), ErrorCode::not_a_volume);
  copies[1] = sample_superblock();
  copies[1].label[0] ^= 1;
  EXPECT_EQ(choose_superblock(copies, kVolumeBytes, true).error().code(), ErrorCode::bad_checksum);
}

TEST(ChooseSuperblockTest, ANewerFormatIsNotEscapedToAnOlderGeneration) {
  std::vector<Superblock> copies{sample_superblock(8), sample_superblock(9)};
  copies[1].incompatible = 1;
  seal(copies[1]);
  EXPECT_EQ(choose_superblock(copies, kVolumeBytes, false).error().code(), ErrorCode::unsupported_format);
}

TEST(ChooseSuperblockTest, ACutDeviceIsReportedAsSuch) {
  const std::vector<Superblock> copies{sample_superblock(8), sample_superblock(9)};
  const auto chosen = choose_superblock(copies, kVolumeBytes - 4096, false);
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code(), ErrorCode::device_too_small);
}

}  // namespace
}  // namespace ashlar::format
