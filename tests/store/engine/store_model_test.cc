// The store against an ordered map: random transactions, checkpoints, clean and unclean reopenings, without faults.
#include <gtest/gtest.h>

#include "blockio/memory_device.h"
#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

class StoreModelTest : public ::testing::TestWithParam<std::uint64_t> {};

std::unique_ptr<Store> open_store(blockio::BlockDevice& device, blockio::IoQueue& io,
                                  const StoreOptions& options = test_options()) {
  auto store = Store::open(device, io, options);
  EXPECT_TRUE(store) << (store ? "" : store.error().message());
  return store ? *std::move(store) : nullptr;
}

TEST_P(StoreModelTest, RandomTransactionsCheckpointsAndReopenings) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto store = open_store(device, *io);
  ASSERT_TRUE(store);
  Workload workload(GetParam());
  workload.adopt(contents_of(*store, *io));

  for (int step = 0; step < 600; ++step) {
    const Status committed = workload.step(*store, *io);
    ASSERT_TRUE(committed) << committed.error().message();
    switch (workload.pick(40)) {
      case 0: {
        const Status done = store->checkpoint(*io);
        ASSERT_TRUE(done) << done.error().message();
        break;
      }
      case 1: {
        ASSERT_TRUE(store->close(*io));
        store = open_store(device, *io);
        ASSERT_TRUE(store);
        EXPECT_EQ(store->stats().replayed_records, 0U);
        ASSERT_EQ(contents_of(*store, *io), workload.model());
        break;
      }
      case 2: {  // everything synced, then gone without a word
        ASSERT_TRUE(store->sync(*io));
        store.reset();
        store = open_store(device, *io);
        ASSERT_TRUE(store);
        ASSERT_EQ(contents_of(*store, *io), workload.model());
        break;
      }
      default: break;
    }
  }
  EXPECT_EQ(contents_of(*store, *io), workload.model());
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreModelTest, ::testing::Range<std::uint64_t>(1, 9));

TEST(StoreTest, FreeSpaceComesBackToTheBlock) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto store = open_store(device, *io);
  ASSERT_TRUE(store);
  const Space before = store->space();
  for (std::uint64_t i = 0; i < 500; ++i) {
    Transaction transaction;
    const std::vector<std::byte> value(100, std::byte{7});
    transaction.put(format::Key{InodeNumber{100 + i}, format::ItemKind::inode, 0}, value);
    ASSERT_TRUE(store->commit(*io, transaction));
  }
  EXPECT_LT(store->space().free, before.free);
  for (std::uint64_t i = 0; i < 500; ++i) {
    Transaction transaction;
    transaction.erase(format::Key{InodeNumber{100 + i}, format::ItemKind::inode, 0});
    ASSERT_TRUE(store->commit(*io, transaction, CommitKind::freeing));
  }
  EXPECT_EQ(store->space().free, before.free);
  ASSERT_TRUE(store->checkpoint(*io));
  EXPECT_EQ(store->space().free, before.free);
  ASSERT_TRUE(store->close(*io));
  store = open_store(device, *io);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->space().free, before.free);
}

TEST(StoreTest, ALogSmallerThanTheLoadIsEmptiedByCheckpoints) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto store = open_store(device, *io);
  ASSERT_TRUE(store);
  const std::uint64_t log_bytes = store->layout().log().count * store->layout().block_size();
  std::uint64_t written = 0;
  Workload workload(99);
  workload.adopt(contents_of(*store, *io));
  while (written < 3 * log_bytes) {
    ASSERT_TRUE(workload.step(*store, *io));
    written = store->stats().log.record_bytes;
  }
  EXPECT_GE(store->stats().checkpoints, 2U);
  EXPECT_EQ(contents_of(*store, *io), workload.model());
}

TEST(StoreTest, ReadOnlyReplaysInMemoryAndWritesNothing) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto store = open_store(device, *io);
  ASSERT_TRUE(store);
  Workload workload(5);
  workload.adopt(contents_of(*store, *io));
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(workload.step(*store, *io));
  ASSERT_TRUE(store->sync(*io));
  store.reset();

  blockio::MemoryDevice frozen(device.snapshot(), {.sector = 512, .read_only = true, .name = "frozen"});
  const auto frozen_io = open_queue(frozen);
  StoreOptions options = test_options();
  EXPECT_FALSE(Store::open(frozen, *frozen_io, options));
  options.read_only = true;
  store = open_store(frozen, *frozen_io, options);
  ASSERT_TRUE(store);
  EXPECT_EQ(contents_of(*store, *frozen_io), workload.model());
  Transaction transaction;
  transaction.erase(format::Key{kRootInode, format::ItemKind::inode, 0});
  const auto refused = store->commit(*frozen_io, transaction);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::read_only);
}

TEST(StoreTest, InodeNumbersAreNeverReused) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto store = open_store(device, *io);
  ASSERT_TRUE(store);
  InodeNumber last;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 5; ++i) {
      Transaction transaction;
      const Result<InodeNumber> number = store->new_inode_number(transaction);
      ASSERT_TRUE(number);
      EXPECT_GT(*number, last);
      last = *number;
      ASSERT_TRUE(store->commit(*io, transaction));
    }
    if (round % 2 == 0) {
      ASSERT_TRUE(store->sync(*io));
    } else {
      ASSERT_TRUE(store->close(*io));
    }
    store.reset();
    store = open_store(device, *io);
    ASSERT_TRUE(store);
  }
}

}  // namespace
}  // namespace ashlar::store::testing
