// Callers that sync together share a device write.
#include <gtest/gtest.h>

#include <iostream>
#include <thread>
#include <vector>

#include "blockio/faulty_device.h"
#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

constexpr std::uint64_t kSyncsPerThread = 12;

// The volume is on a device whose durable writes take a while, so that callers come together.
class GroupCommit : public ::testing::TestWithParam<unsigned> {};

TEST_P(GroupCommit, AnFsyncCostsAtMostOneLogWrite) {
  blockio::MemoryDevice memory(formatted_image());
  blockio::FaultyDevice slow(memory);
  const auto io = open_queue(slow);
  auto opened = Store::open(slow, *io, test_options());
  ASSERT_TRUE(opened);
  Store& store = **opened;
  slow.set_plan([](const blockio::FaultQuestion& question) {
    return question.op.kind == blockio::OpKind::write_durable ? blockio::Fault::delay : blockio::Fault::none;
  });
  const unsigned count = GetParam();
  std::vector<std::thread> threads;
  for (unsigned id = 0; id < count; ++id) {
    threads.emplace_back([&store, &slow, id] {
      const auto own = open_queue(slow);
      for (std::uint64_t i = 0; i < kSyncsPerThread; ++i) {
        Transaction transaction;
        transaction.put({InodeNumber{100 + id}, format::ItemKind::dirent, 3 + i}, std::vector<std::byte>(20));
        const auto lsn = store.commit(*own, transaction);
        ASSERT_TRUE(lsn);
        ASSERT_TRUE(store.sync(*own, *lsn));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const StoreStats stats = store.stats();
  EXPECT_EQ(stats.syncs, count * kSyncsPerThread);
  EXPECT_LE(stats.log.durable_writes, stats.syncs);
  if (count == 1) {
    EXPECT_EQ(stats.log.durable_writes, stats.syncs);
  } else {
    EXPECT_LT(stats.log.durable_writes, stats.syncs);
  }
  std::cout << count << " threads: " << stats.syncs << " fsyncs, " << stats.log.durable_writes << " log writes\n";
}

INSTANTIATE_TEST_SUITE_P(Threads, GroupCommit, ::testing::Values(1U, 4U, 16U));

}  // namespace
}  // namespace ashlar::store::testing
