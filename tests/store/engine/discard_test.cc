// Mount option discard: what checkpoints freed is discarded, and nothing else ever is.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fs/store/discard_list.h"
#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"
#include "tests/store/log/watched_device.h"

namespace ashlar::store::testing {
namespace {

// What is discarded reads as garbage from then on.
class SpoilingDevice {
 public:
  explicit SpoilingDevice(blockio::MemoryImage image, std::chrono::microseconds time = {})
      : memory_(std::move(image)), device_(memory_) {
    device_.watch([this, time](blockio::IoOp& op) {
      if (op.kind != blockio::OpKind::discard) return;
      if (time.count() != 0) std::this_thread::sleep_for(time);
      const auto io = open_queue(memory_);
      blockio::AlignedBuffer garbage(op.length);
      std::fill(garbage.span().begin(), garbage.span().end(), std::byte{0xdb});
      blockio::IoOp write = blockio::IoOp::write(op.offset, garbage.span());
      EXPECT_TRUE(io->run(write));
      discarded_ += op.length;
      ++discards_;
      op.kind = blockio::OpKind::flush;  // the discard has happened
    });
  }
  [[nodiscard]] blockio::BlockDevice& device() { return device_; }
  [[nodiscard]] std::uint64_t discarded() const { return discarded_; }
  [[nodiscard]] unsigned discards() const { return discards_; }

 private:
  blockio::MemoryDevice memory_;
  WatchedDevice device_;
  std::atomic<std::uint64_t> discarded_{0};
  std::atomic<unsigned> discards_{0};
};

StoreOptions with_discard() {
  StoreOptions options = test_options();
  options.discard = true;
  return options;
}

class DiscardTest : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(DiscardTest, NothingInUseIsEverDiscarded) {
  SpoilingDevice spoiling(formatted_image());
  const auto io = open_queue(spoiling.device());
  auto store = Store::open(spoiling.device(), *io, with_discard());
  ASSERT_TRUE(store);
  Workload workload(GetParam());
  workload.adopt(contents_of(**store, *io));
  for (int step = 0; step < 800; ++step) {
    ASSERT_TRUE(workload.step(**store, *io));
    const std::uint64_t choice = workload.pick(40);
    if (choice == 0) {
      ASSERT_TRUE((*store)->checkpoint(*io));
    } else if (choice <= 3) {
      static_cast<void>((*store)->discard_freed(*io));
    } else if (choice <= 5) {  // what is in memory does not help
      if (choice == 4) {
        ASSERT_TRUE((*store)->close(*io));
      } else {
        ASSERT_TRUE((*store)->sync(*io));
      }
      store->reset();
      store = Store::open(spoiling.device(), *io, with_discard());
      ASSERT_TRUE(store) << store.error().message();
      ASSERT_EQ(contents_of(**store, *io), workload.model());
    }
  }
  EXPECT_EQ(contents_of(**store, *io), workload.model());
  EXPECT_GT(spoiling.discarded(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, DiscardTest, ::testing::Range<std::uint64_t>(1, 5));

// A block of data, near `goal` if there is one, and what it takes to give it back.
BlockRun add_block(Store& store, blockio::IoQueue& io, std::uint64_t inode, BlockNumber goal = {},
                   std::byte fill = std::byte{1}) {
  Transaction transaction;
  AllocationRequest request;
  request.goal = goal;
  Result<Allocation> block = store.allocate(io, request);
  EXPECT_TRUE(block);
  if (!block) return {};
  const BlockRun run = block->run();
  blockio::AlignedBuffer data(store.layout().block_size());
  std::fill(data.span().begin(), data.span().end(), fill);
  blockio::IoOp write = blockio::IoOp::write(store.layout().byte_offset(run.first), data.span());
  EXPECT_TRUE(io.run(write));
  transaction.adopt(*std::move(block));
  transaction.put(format::Key{InodeNumber{inode}, format::ItemKind::inode, 0}, std::vector<std::byte>(8));
  EXPECT_TRUE(store.commit(io, transaction));
  return run;
}

void give_back(Store& store, blockio::IoQueue& io, BlockRun run) {
  Transaction transaction;
  transaction.free(run);
  EXPECT_TRUE(store.commit(io, transaction, CommitKind::freeing));
}

bool holds(Store& store, blockio::IoQueue& io, BlockRun run, std::byte fill) {
  blockio::AlignedBuffer data(store.layout().block_size());
  blockio::IoOp read = blockio::IoOp::read(store.layout().byte_offset(run.first), data.span());
  EXPECT_TRUE(io.run(read));
  return std::all_of(data.span().begin(), data.span().end(), [fill](std::byte byte) { return byte == fill; });
}

// The store's own thread discards slowly what a writer wants back at once.
TEST(SlowDiscardTest, BesideAWriterOfTheSameBlocks) {
  constexpr std::size_t kBlocks = 16;
  SpoilingDevice spoiling(formatted_image(), std::chrono::microseconds(200));
  const auto io = open_queue(spoiling.device());
  StoreOptions options = with_discard();
  options.background = true;
  options.commit_interval = std::chrono::milliseconds(1);
  auto opened = Store::open(spoiling.device(), *io, options);
  ASSERT_TRUE(opened);
  Store& store = **opened;
  std::vector<BlockRun> free(kBlocks);
  std::vector<BlockRun> live;
  for (int round = 0; round < 200 || spoiling.discarded() == 0; ++round) {
    const auto fill = static_cast<std::byte>(round % 200);
    std::vector<BlockRun> next;
    for (std::size_t i = 0; i < kBlocks; ++i) next.push_back(add_block(store, *io, 100 + i, free[i].first, fill));
    const auto old_fill = static_cast<std::byte>((round + 199) % 200);
    for (const BlockRun& run : live) {
      ASSERT_TRUE(holds(store, *io, run, old_fill)) << "block " << run.first.value() << ", round " << round;
      give_back(store, *io, run);
    }
    if (!live.empty()) free = live;
    live = std::move(next);
    ASSERT_TRUE(store.checkpoint(*io));
  }
  ASSERT_TRUE(store.close(*io));
  EXPECT_EQ(store.stats().discarded_bytes, spoiling.discarded());
}

class DiscardedOnce : public ::testing::Test {
 protected:
  // Whether a discard reached the block since this was asked last.
  [[nodiscard]] bool was_discarded(BlockRun run) {
    bool found = false;
    for (const BlockRun& discarded : std::exchange(discarded_, {})) {
      found = found || (discarded.first <= run.first && run.end() <= discarded.end());
    }
    return found;
  }
  void open(const StoreOptions& options) {
    device_.watch([this](blockio::IoOp& op) {
      if (op.kind != blockio::OpKind::discard) return;
      discarded_.push_back({BlockNumber{op.offset / 512}, op.length / 512});
      if (failing_) WatchedDevice::spoil(op);
    });
    auto store = Store::open(device_, *io_, options);
    ASSERT_TRUE(store);
    store_ = *std::move(store);
  }

  blockio::MemoryDevice memory_{formatted_image()};
  WatchedDevice device_{memory_};
  std::unique_ptr<blockio::IoQueue> io_ = open_queue(device_);
  std::unique_ptr<Store> store_;
  std::vector<BlockRun> discarded_;
  bool failing_ = false;
};

TEST_F(DiscardedOnce, AfterTheCheckpointAndNotBefore) {
  open(with_discard());
  EXPECT_TRUE(store_->stats().discards_online);
  const BlockRun run = add_block(*store_, *io_, 100);
  ASSERT_TRUE(store_->checkpoint(*io_));
  give_back(*store_, *io_, run);
  ASSERT_TRUE(store_->sync(*io_));
  while (store_->discard_freed(*io_)) continue;
  EXPECT_FALSE(was_discarded(run)) << "a power cut would need it again";
  ASSERT_TRUE(store_->checkpoint(*io_));
  while (store_->discard_freed(*io_)) continue;
  EXPECT_TRUE(was_discarded(run));
  EXPECT_FALSE(store_->discard_freed(*io_));
  EXPECT_FALSE(was_discarded(run)) << "once is enough";
}

TEST_F(DiscardedOnce, AtTheEndOfTheMount) {
  open(with_discard());
  const BlockRun run = add_block(*store_, *io_, 100);
  give_back(*store_, *io_, run);
  ASSERT_TRUE(store_->close(*io_));
  EXPECT_TRUE(was_discarded(run));
}

TEST_F(DiscardedOnce, NotUnlessAskedFor) {
  open(test_options());
  EXPECT_FALSE(store_->stats().discards_online);
  give_back(*store_, *io_, add_block(*store_, *io_, 100));
  ASSERT_TRUE(store_->checkpoint(*io_));
  EXPECT_FALSE(store_->discard_freed(*io_));
  ASSERT_TRUE(store_->close(*io_));
  EXPECT_TRUE(discarded_.empty());
}

TEST_F(DiscardedOnce, AFailureEndsDiscardingAndHurtsNothing) {
  open(with_discard());
  failing_ = true;
  give_back(*store_, *io_, add_block(*store_, *io_, 100));
  ASSERT_TRUE(store_->checkpoint(*io_));
  EXPECT_FALSE(store_->discard_freed(*io_));
  EXPECT_EQ(discarded_.size(), 1U);
  EXPECT_FALSE(store_->stats().discards_online);
  EXPECT_EQ(store_->stats().failure, "");
  EXPECT_EQ(store_->stats().discarded_bytes, 0U);
  // The block can be had again.
  const std::uint64_t free = store_->space().free;
  give_back(*store_, *io_, add_block(*store_, *io_, 101));
  ASSERT_TRUE(store_->close(*io_));
  EXPECT_LE(free - store_->space().free, 8U);
  EXPECT_EQ(discarded_.size(), 1U);
}

TEST_F(DiscardedOnce, AFailureEndsTheCheckpointsThatItsBlocksWereWorth) {
  StoreOptions options = with_discard();
  options.background = true;
  options.commit_interval = std::chrono::milliseconds(1);
  failing_ = true;
  open(options);
  give_back(*store_, *io_, add_block(*store_, *io_, 100));
  while (store_->stats().discards_online) std::this_thread::yield();
  const std::uint64_t checkpoints = store_->stats().checkpoints;
  give_back(*store_, *io_, add_block(*store_, *io_, 101));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(store_->stats().checkpoints, checkpoints);
  ASSERT_TRUE(store_->close(*io_));
}

// So that a device that takes its time keeps neither a sync that is due nor who unmounts.
TEST(SlowDiscardTest, ComesBackBetweenPlaces) {
  SpoilingDevice spoiling(formatted_image(), std::chrono::milliseconds(150));
  const auto io = open_queue(spoiling.device());
  auto store = Store::open(spoiling.device(), *io, with_discard());
  ASSERT_TRUE(store);
  std::vector<BlockRun> runs;
  for (std::uint64_t i = 0; i < 6; ++i) runs.push_back(add_block(**store, *io, 100 + i));
  for (std::size_t i = 0; i < runs.size(); i += 2) give_back(**store, *io, runs[i]);
  ASSERT_TRUE((*store)->checkpoint(*io));
  EXPECT_TRUE((*store)->discard_freed(*io));
  const std::uint64_t one = spoiling.discarded();
  EXPECT_GT(one, 0U);
  EXPECT_TRUE((*store)->discard_freed(*io));
  EXPECT_GT(spoiling.discarded(), one);
}

// What was free in one piece may be in many by then.
TEST(SlowDiscardTest, ComesBackInTheMidstOfAPlace) {
  SpoilingDevice spoiling(formatted_image(), std::chrono::milliseconds(150));
  const auto io = open_queue(spoiling.device());
  auto store = Store::open(spoiling.device(), *io, with_discard());
  ASSERT_TRUE(store);
  constexpr std::uint64_t kInARow = 7;
  std::vector<BlockRun> runs;
  for (std::uint64_t i = 0; i < kInARow; ++i) runs.push_back(add_block(**store, *io, 100 + i));
  ASSERT_EQ(runs.back().first, runs.front().first + (kInARow - 1));
  for (const BlockRun& run : runs) give_back(**store, *io, run);
  ASSERT_TRUE((*store)->checkpoint(*io));
  for (std::size_t i = 1; i < runs.size(); i += 2) {
    ASSERT_EQ(add_block(**store, *io, 200 + i, runs[i].first), runs[i]);
  }
  for (bool more = true; more;) {
    const unsigned before = spoiling.discards();
    more = (*store)->discard_freed(*io);
    EXPECT_LE(spoiling.discards() - before, 1U);
  }
  EXPECT_GE(spoiling.discards(), (kInARow + 1) / 2);
  for (std::size_t i = 1; i < runs.size(); i += 2) EXPECT_TRUE(holds(**store, *io, runs[i], std::byte{1}));
}

// A device that discards so much at least.
class CoarseDevice final : public blockio::BlockDevice {
 public:
  CoarseDevice(blockio::BlockDevice& behind, std::uint64_t granularity)
      : behind_(behind), geometry_(behind.geometry()) {
    geometry_.discard_granularity = granularity;
  }
  [[nodiscard]] const blockio::Geometry& geometry() const noexcept override { return geometry_; }
  [[nodiscard]] const std::string& name() const noexcept override { return behind_.name(); }
  [[nodiscard]] Result<std::uint64_t> measure() override { return behind_.measure(); }
  [[nodiscard]] Status extend(std::uint64_t size) override { return behind_.extend(size); }
  [[nodiscard]] Result<std::unique_ptr<blockio::IoQueue>> open_queue(const blockio::QueueConfig& config) override {
    return behind_.open_queue(config);
  }

 private:
  blockio::BlockDevice& behind_;
  blockio::Geometry geometry_;
};

TEST(CoarseDiscardTest, IsOffWhereItWouldNeverHappen) {
  blockio::MemoryDevice memory(formatted_image());
  for (const bool possible : {true, false}) {
    CoarseDevice device(memory, (64ULL << 20) + (possible ? 0 : 4096));
    const auto io = open_queue(device);
    auto store = Store::open(device, *io, with_discard());
    ASSERT_TRUE(store);
    EXPECT_EQ((*store)->stats().discards_online, possible);
    ASSERT_TRUE((*store)->close(*io));
  }
}

// Discarding sets blocks aside, of which there are too few while the volume is full: what it does not do then it does
// later.
TEST(CoarseDiscardTest, WaitsWhileTheVolumeIsNearlyFull) {
  constexpr std::uint32_t kBlockSize = 4096;
  constexpr std::uint64_t kUnit = 256;
  SpoilingDevice spoiling(formatted_image(kBlockSize, kBlockSize));
  CoarseDevice device(spoiling.device(), kUnit * kBlockSize);
  const auto io = open_queue(device);
  auto opened = Store::open(device, *io, with_discard());
  ASSERT_TRUE(opened);
  Store& store = **opened;
  AllocationRequest request;
  request.goal = BlockNumber{kUnit};
  request.minimum = request.maximum = kUnit;
  Result<Allocation> place = store.allocate(*io, request);
  ASSERT_TRUE(place);
  const BlockRun run = place->run();
  ASSERT_EQ(run.first, request.goal);
  Transaction transaction;
  transaction.adopt(*std::move(place));
  transaction.put({InodeNumber{100}, format::ItemKind::inode, 0}, std::vector<std::byte>(8));
  ASSERT_TRUE(store.commit(*io, transaction));
  std::vector<Allocation> others;
  for (std::uint64_t left = store.space().available - kUnit; left != 0;) {
    request = {};
    request.maximum = left;
    Result<Allocation> more = store.allocate(*io, request);
    ASSERT_TRUE(more);
    left -= more->run().count;
    others.push_back(*std::move(more));
  }
  give_back(store, *io, run);
  ASSERT_TRUE(store.checkpoint(*io));
  EXPECT_FALSE(store.discard_freed(*io));
  EXPECT_EQ(spoiling.discarded(), 0U);
  others.clear();
  while (store.discard_freed(*io)) continue;
  EXPECT_GE(spoiling.discarded(), kUnit * kBlockSize);
}

constexpr std::uint64_t kBlocks = 1000;

std::vector<BlockRun> all_of(DiscardList& list, std::uint64_t most = 1U << 20) {
  std::vector<BlockRun> places;
  while (const auto place = list.next(most)) places.push_back(*place);
  return places;
}

BlockRun blocks(std::uint64_t first, std::uint64_t count) { return {BlockNumber{first}, count}; }

TEST(DiscardListTest, NeighboursAreOnePlace) {
  DiscardList list(1);
  EXPECT_TRUE(all_of(list).empty());
  list.add({blocks(20, 5), blocks(10, 5), blocks(15, 1)}, kBlocks);
  list.add({blocks(16, 4), blocks(30, 1)}, kBlocks);
  EXPECT_EQ(all_of(list), (std::vector{blocks(30, 1), blocks(10, 15)}));
  list.add({blocks(1, 1)}, kBlocks);
  list.clear();
  EXPECT_TRUE(all_of(list).empty());
}

TEST(DiscardListTest, PlacesAreWholeUnitsOfTheVolume) {
  DiscardList list(16);
  list.add({blocks(17, 1), blocks(40, 10), blocks(995, 1)}, kBlocks);
  EXPECT_EQ(all_of(list), (std::vector{blocks(992, 8), blocks(16, 48)}));
  // It has grown meanwhile.
  list.add({blocks(995, 1), blocks(1100, 1)}, 2 * kBlocks);
  EXPECT_EQ(all_of(list), (std::vector{blocks(1088, 16), blocks(992, 16)}));
}

TEST(DiscardListTest, LongPlacesComeInParts) {
  DiscardList list(16);
  list.add({blocks(0, 1000)}, kBlocks);
  EXPECT_EQ(all_of(list, 400), (std::vector{blocks(608, 392), blocks(208, 400), blocks(0, 208)}));
  list.add({blocks(0, 40)}, kBlocks);
  EXPECT_EQ(all_of(list, 16), (std::vector{blocks(32, 16), blocks(16, 16), blocks(0, 16)}));
}

TEST(DiscardListTest, WhatIsPutBackComesNext) {
  DiscardList list(16);
  list.add({blocks(0, 100), blocks(200, 100)}, kBlocks);
  EXPECT_EQ(list.next(kBlocks), blocks(192, 112));
  list.put_back(blocks(260, 44));
  EXPECT_EQ(all_of(list), (std::vector{blocks(256, 48), blocks(0, 112)}));
}

TEST(DiscardListTest, RemembersSoMuchAndNoMore) {
  DiscardList list(1);
  std::vector<BlockRun> apart;
  for (std::uint64_t i = 0; i < 2 * DiscardList::kMaxPlaces; ++i) apart.push_back(blocks(2 * i, 1));
  list.add(apart, 1U << 30);
  EXPECT_EQ(all_of(list).size(), DiscardList::kMaxPlaces);
}

// A checkpoint waits for add(): a list that stays all but full is not arranged anew for every run.
TEST(DiscardListTest, AFullListIsNotWorthItsArranging) {
  DiscardList list(1);
  std::vector<BlockRun> apart;
  for (std::uint64_t i = 0; i < DiscardList::kMaxPlaces - 2; ++i) apart.push_back(blocks((1U << 20) + 2 * i, 1));
  list.add(apart, 1U << 30);
  std::vector<BlockRun> neighbours;
  for (std::uint64_t i = 0; i < 1000; ++i) neighbours.push_back(blocks(i, 1));
  list.add(neighbours, 1U << 30);
  const std::vector<BlockRun> places = all_of(list);
  EXPECT_EQ(places.size(), apart.size() + 1);
  EXPECT_EQ(places.back(), blocks(0, 2)) << "the rest is forgotten";
}

}  // namespace
}  // namespace ashlar::store::testing
