// Devices that fail: an operation fails or the volume stops; what was promised is there afterwards.
#include <gtest/gtest.h>

#include <algorithm>

#include "blockio/faulty_device.h"
#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

constexpr int kFaultySteps = 60;

// Runs the workload until something fails; the states it may have left.
struct Attempt {
  std::vector<Contents> possible;  // from the last acknowledged sync on
  bool failed = false;
};

Attempt run_until_failure(blockio::BlockDevice& device, std::uint64_t seed) {
  Attempt run;
  const auto io = open_queue(device);
  auto store = Store::open(device, *io, test_options());
  if (!store) {
    run.failed = true;
    return run;
  }
  Contents start;
  if (!(*store)->scan(*io, format::kLowestKey, format::kHighestKey,
                      [&](const format::Key& key, std::span<const std::byte> value) {
                        start.emplace(key, std::vector<std::byte>(value.begin(), value.end()));
                        return true;
                      })) {
    run.failed = true;
    return run;
  }
  Workload workload(seed);
  workload.adopt(std::move(start));
  run.possible = {workload.model()};
  for (int step = 0; step < kFaultySteps; ++step) {
    const Status committed = workload.step(**store, *io);
    if (committed) run.possible.push_back(workload.model());
    run.failed = run.failed || !committed;
    if (workload.pick(4) != 0) continue;
    const bool checkpoint = workload.pick(2) == 0;
    const Status synced = checkpoint ? (*store)->checkpoint(*io) : (*store)->sync(*io);
    run.failed = run.failed || !synced;
    if (synced) run.possible = {workload.model()};
  }
  return run;
}

void expect_promises(blockio::MemoryDevice& device, const Attempt& run, std::uint64_t index) {
  SCOPED_TRACE("fault at operation " + std::to_string(index));
  const auto io = open_queue(device);
  auto store = Store::open(device, *io, test_options());
  ASSERT_TRUE(store) << store.error().message();
  const Contents shown = contents_of(**store, *io);
  if (run.possible.empty()) return;  // it did not even open: nothing was promised
  EXPECT_NE(std::find(run.possible.begin(), run.possible.end(), shown), run.possible.end());
}

class StoreFaultsTest : public ::testing::TestWithParam<bool> {};  // permanent?

TEST_P(StoreFaultsTest, AnErrorAtEveryOperation) {
  const blockio::MemoryImage image = formatted_image();
  blockio::MemoryDevice counted(image);
  blockio::FaultyDevice counting(counted);
  ASSERT_FALSE(run_until_failure(counting, 3).failed);
  const std::uint64_t operations = counting.operations();
  ASSERT_GT(operations, 100U);

  for (std::uint64_t index = 0; index < operations; ++index) {
    blockio::MemoryDevice memory(image);
    blockio::FaultyDevice faulty(memory);
    faulty.set_plan(GetParam() ? blockio::fail_from(index) : blockio::fail_once(index));
    const Attempt run = run_until_failure(faulty, 3);
    EXPECT_TRUE(run.failed || !GetParam()) << index;
    expect_promises(memory, run, index);
    if (::testing::Test::HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(TransientAndPermanent, StoreFaultsTest, ::testing::Bool());

TEST(StoreFailureTest, AFailedLogWriteIsNeverRetriedIntoSuccess) {
  blockio::MemoryDevice memory(formatted_image());
  blockio::FaultyDevice faulty(memory);
  const auto io = open_queue(faulty);
  auto store = Store::open(faulty, *io, test_options());
  ASSERT_TRUE(store);
  Workload workload(1);
  workload.adopt(contents_of(**store, *io));
  ASSERT_TRUE(workload.step(**store, *io));
  // The data that is gathered for it reaches the device: only the log does not.
  const format::Layout& layout = (*store)->layout();
  faulty.set_plan([first = layout.byte_offset(layout.log().first),
                   end = layout.byte_offset(layout.log().end())](const blockio::FaultQuestion& question) {
    return first <= question.op.offset && question.op.offset < end ? blockio::Fault::fail : blockio::Fault::none;
  });
  EXPECT_FALSE((*store)->sync(*io));
  faulty.set_plan({});
  const Status again = (*store)->sync(*io);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::shut_down);
  EXPECT_TRUE((*store)->read_only());
  EXPECT_NE((*store)->stats().failure, "");
  EXPECT_FALSE(workload.step(**store, *io));
  EXPECT_FALSE((*store)->checkpoint(*io));
  EXPECT_EQ(contents_of(**store, *io), workload.model());  // reading goes on
}

TEST(StoreHealingTest, ABadNodeCopyIsAnsweredFromTheOtherAndRewritten) {
  blockio::MemoryDevice memory(formatted_image());
  const auto io = open_queue(memory);
  auto store = Store::open(memory, *io, test_options());
  ASSERT_TRUE(store);
  Workload workload(8);
  workload.adopt(contents_of(**store, *io));
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(workload.step(**store, *io));
  ASSERT_TRUE((*store)->close(*io));
  store->reset();

  blockio::FaultyDevice flipping(memory);
  const auto flipping_io = open_queue(flipping);
  auto opened = Store::open(flipping, *flipping_io, test_options());
  ASSERT_TRUE(opened);
  int reads = 0;
  flipping.set_plan([&reads, node_size = (*opened)->layout().node_size()](const blockio::FaultQuestion& question) {
    const bool node = question.op.kind == blockio::OpKind::read && question.op.length == node_size;
    return node && reads++ == 0 ? blockio::Fault::flip_bit : blockio::Fault::none;
  });
  const Contents shown = contents_of(**opened, *flipping_io);
  EXPECT_EQ(shown, workload.model());
  EXPECT_EQ((*opened)->stats().nodes_healed, 1U);
}

TEST(StoreSpaceTest, AFullVolumeSaysSoAndCanBeEmptied) {
  blockio::MemoryDevice memory(formatted_image());
  const auto io = open_queue(memory);
  auto store = Store::open(memory, *io, test_options());
  ASSERT_TRUE(store);
  const Space empty = (*store)->space();
  std::vector<BlockRun> held;
  const std::vector<std::byte> value(120, std::byte{1});
  ErrorCode why = ErrorCode::io_error;
  for (std::uint64_t i = 0;; ++i) {
    auto allocation = (*store)->allocate(*io, AllocationRequest{Purpose::data, BlockNumber{0}, 1, 16, ~0U});
    if (!allocation) {
      why = allocation.error().code();
      break;
    }
    const BlockRun run = allocation->run();
    Transaction transaction;
    transaction.put(format::Key{InodeNumber{1000 + i}, format::ItemKind::inode, 0}, value);
    transaction.adopt(*std::move(allocation));
    if (const auto committed = (*store)->commit(*io, transaction); !committed) {
      why = committed.error().code();
      break;
    }
    held.push_back(run);
  }
  EXPECT_EQ(why, ErrorCode::no_space);
  EXPECT_GT(held.size(), 100U);
  for (std::uint64_t i = 0; i < held.size(); ++i) {
    Transaction transaction;
    transaction.erase(format::Key{InodeNumber{1000 + i}, format::ItemKind::inode, 0});
    transaction.free(held[i]);
    const auto freed = (*store)->commit(*io, transaction, CommitKind::freeing);
    ASSERT_TRUE(freed) << i << ": " << freed.error().message();
  }
  EXPECT_EQ((*store)->space().free, empty.free);
}

}  // namespace
}  // namespace ashlar::store::testing
