// Making a volume larger while it is in use.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "blockio/faulty_device.h"
#include "blockio/recording_device.h"
#include "fs/store/store.h"
#include "fs/store/superblock_io.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

std::unique_ptr<Store> opened(blockio::BlockDevice& device, blockio::IoQueue& io, const StoreOptions& options) {
  auto store = Store::open(device, io, options);
  EXPECT_TRUE(store) << store.error().message();
  return store ? *std::move(store) : nullptr;
}

std::uint64_t bytes_of(const Store& store) { return store.layout().block_count() * store.layout().block_size(); }

// Takes blocks in transactions of their own until there are none left; returns how many.
std::uint64_t fill(Store& store, blockio::IoQueue& io, InodeNumber inode) {
  std::uint64_t blocks = 0;
  for (std::uint64_t maximum = 512; maximum != 0;) {
    AllocationRequest request;
    request.maximum = maximum;
    Result<Allocation> taken = store.allocate(io, request);
    if (taken) {
      const std::uint64_t count = taken->run().count;
      Transaction transaction;
      transaction.put({inode, format::ItemKind::dirent, blocks}, std::vector<std::byte>(8));
      transaction.adopt(*std::move(taken));
      const auto committed = store.commit(io, transaction);
      if (committed) {
        blocks += count;
        continue;
      }
      EXPECT_EQ(committed.error().code(), ErrorCode::no_space) << committed.error().message();
    } else {
      EXPECT_EQ(taken.error().code(), ErrorCode::no_space) << taken.error().message();
    }
    maximum /= 2;
  }
  return blocks;
}

class StoreGrowingTest : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(StoreGrowingTest, WhatIsGainedCanBeUsedToTheLastBlock) {
  const std::uint32_t block_size = GetParam();
  constexpr std::uint32_t kNodes = 32;
  blockio::MemoryDevice device(formatted_image(block_size, std::max(block_size, 1024U)));
  const auto io = open_queue(device);
  auto store = opened(device, *io, test_options());
  ASSERT_TRUE(store);
  std::uint64_t used = fill(*store, *io, InodeNumber{2});
  // Small steps and larger ones: within the last group, to its end, to a new one, to many with a larger table.
  for (const std::uint64_t mebibytes : {17U, 18U, 20U, 23U, 40U, 64U}) {
    SCOPED_TRACE(mebibytes);
    ASSERT_EQ(fill(*store, *io, InodeNumber{1}), 0U);
    const std::uint64_t before = store->space().total;
    const auto grown = store->grow(*io, mebibytes << 20, false);
    ASSERT_TRUE(grown) << grown.error().message();
    EXPECT_EQ(grown->after, bytes_of(*store));
    EXPECT_EQ(grown->device, mebibytes << 20);
    EXPECT_GT(store->space().total, before);
    const std::uint64_t more = fill(*store, *io, InodeNumber{2 + mebibytes});
    // Nothing is left but what the next transaction's nodes might need.
    EXPECT_LT(store->space().available, kNodes * store->layout().node_blocks());
    EXPECT_GT(more, (store->space().total - before) * 9 / 10);
    used += more;
    ASSERT_TRUE(store->checkpoint(*io));
    const Contents contents = contents_of(*store, *io);
    const Space space = store->space();
    EXPECT_LE(used + space.free, space.total);
    ASSERT_TRUE(store->close(*io));
    store = opened(device, *io, test_options());
    ASSERT_TRUE(store);
    EXPECT_EQ(bytes_of(*store), grown->after);
    EXPECT_EQ(store->space().total, space.total);
    EXPECT_EQ(store->space().free, space.free);
    EXPECT_EQ(contents_of(*store, *io), contents);
    MetadataScrub scrub;
    for (std::uint64_t unit = 0; unit < store->scrub_units(); ++unit) ASSERT_TRUE(store->scrub_unit(*io, unit, scrub));
    EXPECT_TRUE(scrub.findings.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(BlockSizes, StoreGrowingTest, ::testing::Values(512, 1024, 2048, 4096, 16384, 65536));

// A transaction that becomes durable before the volume is larger must not name anything that the smaller one has not,
// or has in use.
TEST(StoreGrowingCrashTest, NothingThatIsGainedIsUsedBefore) {
  constexpr std::uint64_t kLarger = 40U << 20;
  for (std::uint64_t at = 0;; ++at) {
    SCOPED_TRACE(at);
    blockio::RecordingDevice device(formatted_image());
    blockio::FaultyDevice faulty(device);
    const auto io = open_queue(faulty);
    const auto beside = open_queue(device);  // of somebody else
    auto store = opened(faulty, *io, test_options());
    ASSERT_TRUE(store);
    const format::Layout old = store->layout();
    const auto use = [&](BlockNumber goal) {
      AllocationRequest request;
      request.goal = goal;
      Result<Allocation> taken = store->allocate(*beside, request);
      ASSERT_TRUE(taken) << taken.error().message();
      Transaction transaction;
      transaction.put({InodeNumber{2}, format::ItemKind::dirent, goal.value()}, std::vector<std::byte>(8));
      transaction.adopt(*std::move(taken));
      const auto committed = store->commit(*beside, transaction);
      ASSERT_TRUE(committed) << committed.error().message();
      ASSERT_TRUE(store->sync(*beside, *committed));
    };
    ASSERT_NO_FATAL_FAILURE(use(BlockNumber{100}));  // so that there is a place for the next one's node
    bool done = false;
    faulty.set_plan([&](const blockio::FaultQuestion& question) {
      if (question.index != at) return blockio::Fault::none;
      done = true;
      use(BlockNumber{old.block_count()});
      use(old.group_table_first(0));
      use(old.group_table_first(1));
      return blockio::Fault::none;
    });
    const std::size_t begin = device.event_count();
    const auto grown = store->grow(*io, kLarger, false);
    ASSERT_TRUE(grown) << grown.error().message();
    ASSERT_FALSE(HasFatalFailure());
    const std::size_t end = device.event_count();
    store.reset();
    if (!done) break;
    for (std::size_t events = begin; events <= end; ++events) {
      blockio::MemoryDevice after(device.after_power_cut(events));
      const auto queue = open_queue(after);
      const auto again = Store::open(after, *queue, test_options());
      ASSERT_TRUE(again) << "after " << events << ": " << again.error().message();
      const std::uint64_t size = bytes_of(**again);
      ASSERT_TRUE(size == kLarger || (size == kVolumeBytes && events < end));
    }
  }
}

// The old table's places, and what the last group gains, are free once all is durable.
TEST(StoreGrowingCrashTest, WhatTheTableLeavesBehindIsFree) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto store = opened(device, *io, test_options());
  ASSERT_TRUE(store);
  const format::Layout old = store->layout();
  ASSERT_TRUE(store->grow(*io, 64U << 20, false));
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    EXPECT_NE(store->layout().group_table_first(copy), old.group_table_first(copy));
    EXPECT_FALSE(store->layout().touches_fixed(old.group_table_run(copy)));
    AllocationRequest request;
    request.goal = old.group_table_first(copy);
    const auto taken = store->allocate(*io, request);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->run().first, old.group_table_first(copy));
  }
}

// What the device holds where the table begins to lie may look like one: of a larger volume that it had before.
TEST(StoreGrowingCrashTest, WhatLiesWhereTheTableGoesIsNotTakenForIt) {
  constexpr std::uint64_t kLarger = 40U << 20;
  blockio::MemoryImage image = formatted_image();
  image.grow(kLarger);
  {
    blockio::MemoryDevice device(image);
    const auto io = open_queue(device);
    auto store = opened(device, *io, test_options());
    ASSERT_TRUE(store);
    ASSERT_TRUE(store->grow(*io, kLarger, false));
    const format::Layout& layout = store->layout();
    ASSERT_EQ(layout.group_table_blocks(), 2U);
    std::vector<std::byte> block(layout.block_size());
    for (std::uint32_t index = 0; index < layout.group_table_blocks(); ++index) {
      device.snapshot().read(layout.byte_offset(layout.group_table_block(index, 0, 0)), block);
      auto& header = *reinterpret_cast<format::GroupTableHeader*>(block.data());
      header.generation = store->stats().generation.value() + 1;
      format::seal_group_table_block(block);
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        image.write(layout.byte_offset(layout.group_table_block(index, 1, copy)), block);
      }
    }
  }
  blockio::MemoryDevice device(image);
  const auto io = open_queue(device);
  auto store = opened(device, *io, test_options());
  ASSERT_TRUE(store);
  ASSERT_TRUE(store->grow(*io, kLarger, false));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(store->checkpoint(*io));
  ASSERT_TRUE(store->close(*io));
  EXPECT_TRUE(opened(device, *io, test_options()));
}

TEST(StoreGrowingRefusalTest, WhatCannotBeDoneChangesNothing) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto store = opened(device, *io, test_options());
  ASSERT_TRUE(store);
  const std::uint64_t checkpoints = store->stats().checkpoints;
  EXPECT_EQ(store->grow(*io, kVolumeBytes - 512, false).error().code(), ErrorCode::invalid_argument);
  EXPECT_EQ(store->grow(*io, 1ULL << 60, false).error().code(), ErrorCode::invalid_argument);
  for (const auto& wanted :
       {std::optional<std::uint64_t>(), std::optional(kVolumeBytes), std::optional(kVolumeBytes + 511)}) {
    const auto nothing = store->grow(*io, wanted, false);
    ASSERT_TRUE(nothing) << nothing.error().message();
    EXPECT_EQ(nothing->before, kVolumeBytes);
    EXPECT_EQ(nothing->after, kVolumeBytes);
  }
  EXPECT_EQ(store->grow(*io, 2 * kVolumeBytes, true)->after, 2 * kVolumeBytes);
  EXPECT_EQ(bytes_of(*store), kVolumeBytes);
  EXPECT_EQ(device.geometry().size, kVolumeBytes);
  EXPECT_EQ(store->stats().checkpoints, checkpoints);

  // Somebody has made the device larger.
  device.enlarge(3 * kVolumeBytes);
  EXPECT_EQ(store->grow(*io, std::nullopt, true)->device, 3 * kVolumeBytes);
  EXPECT_EQ(store->grow(*io, 2 * kVolumeBytes, false)->after, 2 * kVolumeBytes);
  EXPECT_EQ(store->grow(*io, std::nullopt, false)->after, 3 * kVolumeBytes);

  store->shut_down("a test");
  EXPECT_EQ(store->grow(*io, 4 * kVolumeBytes, false).error().code(), ErrorCode::shut_down);
  StoreOptions read_only = test_options();
  read_only.read_only = true;
  store = opened(device, *io, read_only);
  EXPECT_EQ(store->grow(*io, 4 * kVolumeBytes, false).error().code(), ErrorCode::read_only);
  EXPECT_EQ(device.geometry().size, 3 * kVolumeBytes);
}

}  // namespace
}  // namespace ashlar::store::testing
