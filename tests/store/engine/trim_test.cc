// Discarding free blocks while they are wanted.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"
#include "tests/store/log/watched_device.h"

namespace ashlar::store::testing {
namespace {

// Long enough to take all that is not set aside; nothing depends on it but what the test can find.
constexpr std::chrono::milliseconds kDiscardTime{100};

// Blocks that can be taken, one after the other.
std::vector<Allocation> take_all(Store& store, blockio::IoQueue& io) {
  std::vector<Allocation> taken;
  while (true) {
    AllocationRequest request;
    request.minimum = 1;
    request.maximum = 64;
    Result<Allocation> some = store.allocate(io, request);
    if (!some) {
      EXPECT_EQ(some.error().code(), ErrorCode::no_space);
      return taken;
    }
    taken.push_back(*std::move(some));
  }
}

std::uint64_t blocks_of(const std::vector<Allocation>& allocations) {
  std::uint64_t blocks = 0;
  for (const Allocation& allocation : allocations) blocks += allocation.run().count;
  return blocks;
}

TEST(TrimTest, WhatIsBeingDiscardedIsWaitedFor) {
  blockio::MemoryDevice memory(formatted_image());
  WatchedDevice device(memory);
  const auto io = open_queue(device);
  auto store = Store::open(device, *io, test_options());
  ASSERT_TRUE(store);
  const std::uint64_t all = blocks_of(take_all(**store, *io));

  std::promise<void> discarding;
  bool told = false;
  device.watch([&](blockio::IoOp& op) {
    if (op.kind != blockio::OpKind::discard) return;
    if (!std::exchange(told, true)) discarding.set_value();
    std::this_thread::sleep_for(kDiscardTime);
  });
  std::uint64_t meanwhile = 0;
  std::thread allocating([&] {
    discarding.get_future().wait();
    const auto queue = open_queue(device);
    meanwhile = blocks_of(take_all(**store, *queue));
  });
  const auto trimmed = (*store)->trim(*io, BlockRun{BlockNumber{0}, (*store)->layout().block_count()}, 1);
  allocating.join();
  EXPECT_TRUE(trimmed) << trimmed.error().message();
  EXPECT_EQ(meanwhile, all);
}

// However many there are to come: who is short of space waits for the one under way, and then they wait.
TEST(TrimTest, NobodyWaitsForOneDiscardAfterTheOther) {
  constexpr unsigned kMany = 10;
  blockio::MemoryDevice memory(formatted_image());
  WatchedDevice device(memory);
  const auto io = open_queue(device);
  auto store = Store::open(device, *io, test_options());
  ASSERT_TRUE(store);
  // Every second block of a row is free.
  std::vector<Allocation> row;
  for (unsigned i = 0; i < 8 * kMany; ++i) {
    Result<Allocation> block = (*store)->allocate(*io, AllocationRequest{});
    ASSERT_TRUE(block);
    if (!row.empty()) {
      ASSERT_EQ(block->run().first, row.back().run().end());
    }
    row.push_back(*std::move(block));
  }
  const BlockRun place{row.front().run().first, row.size()};
  for (std::size_t i = 0; i < row.size(); i += 2) row[i] = Allocation();

  std::promise<void> discarding;
  std::promise<void> refused;
  const std::shared_future<void> over(refused.get_future());
  std::atomic<unsigned> meanwhile{0};
  device.watch([&](blockio::IoOp& op) {
    if (op.kind != blockio::OpKind::discard || meanwhile > kMany) return;
    if (over.wait_for(std::chrono::seconds(0)) == std::future_status::ready) return;
    if (meanwhile++ == 0) discarding.set_value();
    over.wait_for(kDiscardTime);
  });
  std::thread allocating([&] {
    discarding.get_future().wait();
    const auto queue = open_queue(device);
    AllocationRequest request;
    request.minimum = request.maximum = (*store)->layout().group_blocks();  // there never are so many in a row
    const Result<Allocation> none = (*store)->allocate(*queue, request);
    refused.set_value();
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), ErrorCode::no_space);
  });
  const auto trimmed = (*store)->trim(*io, place, 1);
  allocating.join();
  ASSERT_TRUE(trimmed) << trimmed.error().message();
  EXPECT_EQ(*trimmed, row.size() / 2);
  EXPECT_LT(meanwhile, kMany);
}

TEST(TrimTest, RunsLongerThanIsEverDiscardedAtOnceAreRefused) {
  blockio::MemoryDevice memory(formatted_image());
  const auto io = open_queue(memory);
  auto store = Store::open(memory, *io, test_options());
  ASSERT_TRUE(store);
  const std::uint64_t most = (64ULL << 20) / (*store)->layout().block_size();
  const BlockRun all{BlockNumber{0}, (*store)->layout().block_count()};
  EXPECT_TRUE((*store)->trim(*io, all, most));
  const auto refused = (*store)->trim(*io, all, most + 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::invalid_argument);
  ASSERT_TRUE((*store)->close(*io));
}

}  // namespace
}  // namespace ashlar::store::testing
