// Many threads on one store: each owns some keys; checkpoints, syncs and evictions happen meanwhile.
#include <gtest/gtest.h>

#include <thread>

#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

constexpr int kThreads = 4;
constexpr std::uint64_t kRounds = 300;

// Writes its own keys in rounds and checks what it wrote last.
void work(blockio::BlockDevice& device, Store& store, std::uint64_t thread) {
  const auto io = open_queue(device);
  std::mt19937_64 random(thread);
  const InodeNumber inode{100 + thread};
  std::map<std::uint64_t, std::size_t> sizes;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    Transaction transaction;
    const std::uint64_t offset = random() % 50;
    const format::Key key{inode, format::ItemKind::dirent, offset};
    if (random() % 4 == 0) {
      transaction.erase(key);
      sizes.erase(offset);
    } else {
      sizes[offset] = random() % 200;
      transaction.put(key, std::vector<std::byte>(sizes[offset], static_cast<std::byte>(offset)));
    }
    const auto committed = store.commit(*io, transaction);
    ASSERT_TRUE(committed) << committed.error().message();
    if (random() % 16 == 0) {
      ASSERT_TRUE(store.sync(*io, *committed));
    }
    if (random() % 64 == 0) {
      ASSERT_TRUE(store.checkpoint(*io));
    }
    ItemValue value;
    const auto found = store.get(*io, key, value);
    ASSERT_TRUE(found);
    ASSERT_EQ(*found, sizes.contains(offset));
    if (*found) {
      ASSERT_EQ(value.size(), sizes[offset]);
    }
  }
  std::uint64_t seen = 0;
  ASSERT_TRUE(store.scan(*io, {inode, format::ItemKind::dirent, 0}, {inode, format::ItemKind::dirent, ~0ULL},
                         [&](const format::Key&, std::span<const std::byte>) { return ++seen, true; }));
  EXPECT_EQ(seen, sizes.size());
}

TEST(StoreThreadsTest, WritersCheckpointsAndSyncsTogether) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  StoreOptions options = test_options();
  options.background = true;
  options.commit_interval = std::chrono::milliseconds(5);
  auto store = Store::open(device, *io, options);
  ASSERT_TRUE(store);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) threads.emplace_back([&, i] { work(device, **store, i); });
  for (std::thread& thread : threads) thread.join();
  const Contents before = contents_of(**store, *io);
  ASSERT_TRUE((*store)->close(*io));
  store->reset();
  auto again = Store::open(device, *io, options);
  ASSERT_TRUE(again);
  EXPECT_EQ(contents_of(**again, *io), before);
  ASSERT_TRUE((*again)->close(*io));
}

TEST(StoreThreadsTest, WritersWhileTheVolumeGrows) {
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  StoreOptions options = test_options();
  options.background = true;
  options.commit_interval = std::chrono::milliseconds(5);
  auto store = Store::open(device, *io, options);
  ASSERT_TRUE(store);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) threads.emplace_back([&, i] { work(device, **store, i); });
  std::uint64_t bytes = kVolumeBytes;
  for (int step = 0; step < 60; ++step) {
    bytes += 1ULL << 19;
    const auto grown = (*store)->grow(*io, bytes, false);
    EXPECT_TRUE(grown) << grown.error().message();
    const Space space = (*store)->space();
    EXPECT_LE(space.free, space.total);
  }
  for (std::thread& thread : threads) thread.join();
  const Contents before = contents_of(**store, *io);
  ASSERT_TRUE((*store)->close(*io));
  store->reset();
  auto again = Store::open(device, *io, options);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->layout().block_count() * (*again)->layout().block_size(), bytes);
  EXPECT_EQ(contents_of(**again, *io), before);
  ASSERT_TRUE((*again)->close(*io));
}

}  // namespace
}  // namespace ashlar::store::testing
