// What is said to be free can be had.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

// Blocks that can be taken one after the other.
std::uint64_t obtainable(Store& store, blockio::IoQueue& io) {
  std::uint64_t blocks = 0;
  std::vector<Allocation> taken;
  for (;;) {
    AllocationRequest request;
    request.maximum = 1024;
    Result<Allocation> some = store.allocate(io, request);
    if (!some) {
      EXPECT_EQ(some.error().code(), ErrorCode::no_space);
      return blocks;
    }
    blocks += some->run().count;
    taken.push_back(*std::move(some));
  }
}

// Many nodes were to be written, and then there was no need.
TEST(SpaceTest, PlacesOfNodesThatCameToNothingAreFree) {
  constexpr std::uint64_t kItems = 1500;
  blockio::MemoryDevice device(formatted_image());
  const auto io = open_queue(device);
  auto opened = Store::open(device, *io, test_options());
  ASSERT_TRUE(opened);
  Store& store = **opened;
  const std::uint64_t all = obtainable(store, *io);
  EXPECT_EQ(all, store.space().available);
  const std::uint64_t checkpoints = store.stats().checkpoints;
  const std::vector<std::byte> value(format::max_value_size(store.layout().node_size()));
  for (const bool exists : {true, false}) {
    for (std::uint64_t i = 0; i < kItems; ++i) {
      Transaction transaction;
      const format::Key key{InodeNumber{2}, format::ItemKind::dirent, i};
      exists ? transaction.put(key, value) : transaction.erase(key);
      ASSERT_TRUE(store.commit(*io, transaction, exists ? CommitKind::ordinary : CommitKind::freeing));
    }
    if (exists) {
      ASSERT_GT(store.stats().dirty_nodes, kItems / 8);
    }
  }
  ASSERT_EQ(store.stats().checkpoints, checkpoints);
  constexpr std::uint64_t kNodesOfOneCommit = 32;
  EXPECT_GE(obtainable(store, *io) + kNodesOfOneCommit * format::kCopies * store.layout().node_blocks(), all);
  EXPECT_EQ(store.space().available, all);
}

}  // namespace
}  // namespace ashlar::store::testing
