// Small files that lie beside each other come in few reads of the device, and always as they are now.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <optional>

#include "blockio/aligned_buffer.h"
#include "blockio/immediate_queue.h"
#include "fs/volume/read_around.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr std::size_t kFiles = 200;
constexpr std::size_t kFileBytes = 4096;

unsigned seed_of(std::size_t file) { return static_cast<unsigned>(file); }

// A volume of 200 files of a block, one behind the other, and a queue that tells the reads of data that go through it.
class ReadAroundTest : public ::testing::Test {
 protected:
  ReadAroundTest()
      : buffer_(2 * kFileBytes),
        io_(*blockio::ImmediateQueue::open(
            rig_.device().geometry(), {}, {[this](const blockio::IoOp& op, std::size_t&) { return perform(op); }, {}})),
        context_{*io_} {
    for (std::size_t i = 0; i < kFiles; ++i) {
      files_.push_back(rig_.make_file(kRootInode, std::to_string(i)));
      put(i, seed_of(i), WriteOrigin::page_cache);
    }
    rig_.remount();
    // Nodes are in memory from here on.
    for (const InodeNumber file : files_) EXPECT_GT(rig_.stat(file).size, 0U);
  }

  void put(std::size_t file, unsigned seed, WriteOrigin origin) {
    const std::string bytes = pattern(kFileBytes, seed);
    std::memcpy(buffer_.data(), bytes.data(), bytes.size());
    ASSERT_TRUE(rig_.volume().write(context_, files_[file], 0, buffer_.span().first(kFileBytes), false, origin));
  }

  Result<std::string> try_get(std::size_t file) {
    const auto read = rig_.volume().read(context_, files_[file], 0, kFileBytes, buffer_.span());
    if (!read) return fail(read.error().code());
    return std::string(reinterpret_cast<const char*>(read->data()), read->size());
  }
  void expect(std::size_t file, unsigned seed) {
    const auto contents = try_get(file);
    ASSERT_TRUE(contents) << contents.error().message();
    EXPECT_TRUE(same(*contents, pattern(kFileBytes, seed))) << "file " << file;
  }

  std::optional<ErrorCode> perform(const blockio::IoOp& op) {
    if (op.kind == blockio::OpKind::read) {
      ++reads_;
      longest_ = std::max(longest_, op.length);
      if (before_read_) {
        if (const auto error = before_read_(op)) return error;
      }
    }
    return rig_.device().perform(op);
  }

  // Finds the block of a file on the device.
  std::uint64_t place_of(unsigned seed) {
    const blockio::MemoryImage image = rig_.device().snapshot();
    const std::string wanted = pattern(kFileBytes, seed);
    std::vector<std::byte> block(kFileBytes);
    for (std::uint64_t at = 0; at < rig_.device().geometry().size; at += kFileBytes) {
      image.read(at, block);
      if (std::memcmp(block.data(), wanted.data(), kFileBytes) == 0) return at;
    }
    ADD_FAILURE() << "not on the device";
    return 0;
  }

  Rig rig_;
  blockio::AlignedBuffer buffer_;
  std::unique_ptr<blockio::IoQueue> io_;
  Context context_;
  std::vector<InodeNumber> files_;
  std::size_t reads_ = 0;
  std::uint64_t longest_ = 0;
  std::function<std::optional<ErrorCode>(const blockio::IoOp&)> before_read_;
};

TEST_F(ReadAroundTest, FilesReadInOrderTakeFewReads) {
  reads_ = 0;
  for (std::size_t i = 0; i < kFiles; ++i) expect(i, seed_of(i));
  constexpr std::size_t kParts = kFiles * kFileBytes / ReadAround::kPartBytes;
  EXPECT_LE(reads_, kParts + 4) << "one for each part, the first read alone, and what lies across";
  EXPECT_EQ(longest_, ReadAround::kPartBytes);
}

TEST_F(ReadAroundTest, FilesFarFromEachOtherAreReadAlone) {
  reads_ = 0;
  longest_ = 0;
  constexpr std::size_t kApart = 2 * ReadAround::kPartBytes / kFileBytes + 1;
  for (std::size_t i = 0; i < kFiles; i += kApart) expect(i, seed_of(i));
  EXPECT_EQ(longest_, kFileBytes);
}

TEST_F(ReadAroundTest, WhatWasWrittenSinceIsSeen) {
  for (const WriteOrigin origin : {WriteOrigin::caller, WriteOrigin::page_cache}) {
    for (std::size_t i = 0; i < 8; ++i) expect(i, seed_of(i));
    for (std::size_t i = 8; i < 16; ++i) put(i, seed_of(1000 + i), origin);
    for (std::size_t i = 8; i < 16; ++i) expect(i, seed_of(1000 + i));
    for (std::size_t i = 8; i < 16; ++i) put(i, seed_of(i), origin);
    ASSERT_TRUE(rig_.volume().sync_all(context_));
  }
}

// Whoever's data: there is one epoch.
TEST_F(ReadAroundTest, AnyWriteOfDataEndsWhatWasReadBefore) {
  for (const WriteOrigin origin : {WriteOrigin::caller, WriteOrigin::page_cache}) {
    for (std::size_t i = 0; i < 8; ++i) expect(i, seed_of(i));
    reads_ = 0;
    expect(3, seed_of(3));
    EXPECT_EQ(reads_, 0U);
    put(kFiles - 1, seed_of(kFiles - 1), origin);
    ASSERT_TRUE(rig_.volume().sync_all(context_));
    expect(3, seed_of(3));
    EXPECT_GT(reads_, 0U);
  }
}

// Blocks that were free when what lies around was read, and blocks that were somebody else's.
TEST_F(ReadAroundTest, BlocksThatFoundNewOwnersAreSeenAsTheyAre) {
  for (std::size_t round = 0; round < 30; ++round) {
    for (std::size_t i = round % 7; i < kFiles; i += 7) put(i, seed_of(i + round * kFiles), WriteOrigin::page_cache);
    ASSERT_TRUE(rig_.volume().sync_all(context_));
    // A checkpoint: what was freed can be taken.
    if (round % 3 == 0) {
      EXPECT_GT(rig_.free_blocks(), 0U);
    }
    for (std::size_t i = round % 7; i < kFiles; i += 7) expect(i, seed_of(i + round * kFiles));
  }
  rig_.check();
}

TEST_F(ReadAroundTest, ADamagedNeighbourHurtsNobodyElse) {
  const std::uint64_t at = place_of(5);
  std::vector<std::byte> bad(kFileBytes, std::byte{0x5a});
  std::memcpy(buffer_.data(), bad.data(), bad.size());
  blockio::IoOp damage = blockio::IoOp::write(at, buffer_.span().first(kFileBytes));
  ASSERT_TRUE(rig_.io().run(damage));
  for (std::size_t i = 0; i < 20; ++i) {
    if (i != 5) expect(i, seed_of(i));
  }
  EXPECT_EQ(error_of(try_get(5)), ErrorCode::io_error);
}

TEST_F(ReadAroundTest, NeitherDoesOneThatCannotBeRead) {
  const std::uint64_t at = place_of(5);
  before_read_ = [at](const blockio::IoOp& op) -> std::optional<ErrorCode> {
    if (op.offset <= at && at < op.offset + op.length) return ErrorCode::io_error;
    return std::nullopt;
  };
  for (std::size_t i = 0; i < 20; ++i) {
    if (i != 5) expect(i, seed_of(i));
  }
  EXPECT_EQ(error_of(try_get(5)), ErrorCode::io_error);
}

// With somebody writing all the time nothing that was read around can be believed, and it is soon given up.
TEST_F(ReadAroundTest, WithoutProfitItIsLeft) {
  std::uint64_t large = 0;
  before_read_ = [&large](const blockio::IoOp& op) -> std::optional<ErrorCode> {
    large += op.length > kFileBytes ? 1 : 0;
    return std::nullopt;
  };
  constexpr std::size_t kReads = 1000;
  for (std::size_t i = 0; i < kReads; ++i) {
    put(kFiles - 1, seed_of(i), WriteOrigin::caller);
    expect(i % (kFiles - 1), seed_of(i % (kFiles - 1)));
  }
  EXPECT_LT(large, kReads / 8);
}

}  // namespace
}  // namespace ashlar::volume::testing
