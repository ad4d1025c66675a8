// How a volume stops: whoever finds out never waits for a checkpoint, the superblock is marked before anybody is told,
// and what a caller asked for is no failure.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "blockio/faulty_device.h"
#include "fs/format/checksum.h"
#include "fs/store/store.h"
#include "fs/store/superblock_io.h"
#include "tests/store/engine/store_fixture.h"
#include "tests/store/log/watched_device.h"

namespace ashlar::store::testing {
namespace {

using blockio::OpKind;

constexpr std::uint32_t kBlockSize = 512;

format::Superblock superblock_on(blockio::MemoryDevice& memory) {
  const auto io = open_queue(memory);
  const auto superblock = read_superblock(memory.geometry(), *io, false);
  EXPECT_TRUE(superblock);
  return superblock.value_or(format::Superblock{});
}

bool is_marked(blockio::MemoryDevice& memory) { return (superblock_on(memory).flags & format::kHasErrors) != 0; }

Status put(Store& store, blockio::IoQueue& io) {
  Transaction transaction;
  transaction.put({InodeNumber{2}, format::ItemKind::inode, 0}, std::as_bytes(std::span("a value")));
  TRY(store.commit(io, transaction));
  return {};
}

// A block of gathered data, named by a transaction.
BlockRun write_and_commit(Store& store, blockio::IoQueue& io) {
  blockio::AlignedBuffer buffer(kBlockSize);
  std::memset(buffer.data(), 'x', kBlockSize);
  const format::le32 checksum = format::crc32c(buffer.span());
  const iovec piece{buffer.data(), kBlockSize};
  Result<Allocation> allocation = store.write_behind(io, {&piece, 1}, 1);
  EXPECT_TRUE(allocation);
  if (!allocation) return {};
  const BlockRun run = allocation->run();
  Transaction transaction;
  transaction.put({InodeNumber{3}, format::ItemKind::inode, 0}, std::as_bytes(std::span("a value")));
  transaction.adopt(*std::move(allocation));
  transaction.witness(run, {&checksum, 1});
  EXPECT_TRUE(store.commit(io, transaction));
  return run;
}

// A reader finds gathered data lost, while a checkpoint that is as good as done waits for it to let go of its guard.
TEST(StoreStopTest, AReaderThatStopsTheVolumeDoesNotWaitForTheCheckpointThatWaitsForIt) {
  blockio::MemoryDevice memory(formatted_image());
  WatchedDevice device(memory);
  const auto io = open_queue(device);
  std::atomic<unsigned> reports{0};
  std::atomic<bool> marked_when_reported{false};
  StoreOptions options = test_options();
  options.on_failure = [&] {
    reports.fetch_add(1);
    marked_when_reported.store(is_marked(memory));
  };
  auto opened = Store::open(device, *io, options);
  ASSERT_TRUE(opened);
  Store& store = **opened;
  ASSERT_NE(write_and_commit(store, *io).count, 0U);  // reserves room for the next

  std::atomic<bool> drained{false};
  std::atomic<bool> go_on{false};
  std::atomic<std::uint64_t> spoiled_at{~0ULL};
  device.watch([&](blockio::IoOp& op) {
    if (op.kind == OpKind::flush && !drained.exchange(true)) go_on.wait(false);
    if (op.kind == OpKind::write && op.offset == spoiled_at.load()) WatchedDevice::spoil(op);
  });
  const Generation before = store.stats().generation;
  std::thread checkpointing([&] {
    const auto queue = open_queue(device);
    EXPECT_TRUE(store.checkpoint(*queue));
  });
  while (!drained.load()) std::this_thread::yield();
  const BlockRun lost = write_and_commit(store, *io);
  spoiled_at.store(store.layout().byte_offset(lost.first));
  std::optional<Reclaim::Guard> guard(store.read_guard());
  go_on.store(true);
  go_on.notify_all();
  while (store.stats().generation == before) std::this_thread::yield();  // now it waits for the guard

  const auto reading = std::async(std::launch::async, [&] {
    const auto queue = open_queue(device);
    return store.settle(*queue, lost).has_value();
  });
  EXPECT_EQ(reading.wait_for(std::chrono::seconds(60)), std::future_status::ready) << "it waits for the checkpoint";
  guard.reset();
  checkpointing.join();
  reading.wait();
  EXPECT_TRUE(store.read_only());
  EXPECT_EQ(reports.load(), 1U);
  EXPECT_TRUE(marked_when_reported.load());
}

TEST(StoreStopTest, TheSuperblockIsMarkedBeforeAnybodyIsTold) {
  blockio::MemoryDevice memory(formatted_image());
  blockio::FaultyDevice faulty(memory);
  const auto io = open_queue(faulty);
  unsigned reports = 0;
  format::Superblock when_reported{};
  StoreOptions options = test_options();
  options.on_failure = [&] {
    ++reports;
    when_reported = superblock_on(memory);
  };
  auto store = Store::open(faulty, *io, options);
  ASSERT_TRUE(store);
  ASSERT_TRUE(put(**store, *io));
  faulty.set_plan(blockio::fail_nth(OpKind::write_durable, 0));
  EXPECT_FALSE((*store)->sync(*io));
  EXPECT_FALSE((*store)->sync(*io));
  EXPECT_FALSE((*store)->checkpoint(*io));
  EXPECT_EQ(reports, 1U);
  EXPECT_NE(when_reported.flags & format::kHasErrors, 0U);
}

// Durable writes of a log that a caller shuts down under them fail or are of no use; none of that is a failure.
TEST(StoreStopTest, ShuttingDownIsNoFailure) {
  for (const blockio::Fault fault : {blockio::Fault::none, blockio::Fault::fail}) {
    blockio::MemoryDevice memory(formatted_image());
    blockio::FaultyDevice faulty(memory);
    const auto io = open_queue(faulty);
    unsigned reports = 0;
    StoreOptions options = test_options();
    options.on_failure = [&reports] { ++reports; };
    auto store = Store::open(faulty, *io, options);
    ASSERT_TRUE(store);
    ASSERT_TRUE(put(**store, *io));
    faulty.set_plan([&](const blockio::FaultQuestion& question) {
      if (question.op.kind != OpKind::write_durable) return blockio::Fault::none;
      (*store)->shut_down("asked for");
      return fault;
    });
    EXPECT_FALSE((*store)->sync(*io));
    faulty.set_plan({});
    EXPECT_FALSE((*store)->sync(*io));
    EXPECT_FALSE((*store)->checkpoint(*io));
    EXPECT_EQ(reports, 0U);
    EXPECT_FALSE(is_marked(memory));
    EXPECT_EQ((*store)->stats().failure, "asked for");
  }
}

// What another's failed flush lost may be what this checkpoint wrote.
TEST(StoreStopTest, ACheckpointUnderWayWhenTheVolumeStopsDoesNotCount) {
  blockio::MemoryDevice memory(formatted_image());
  blockio::FaultyDevice faulty(memory);
  WatchedDevice device(faulty);
  const auto io = open_queue(device);
  const auto other = open_queue(device);
  auto store = Store::open(device, *io, test_options());
  ASSERT_TRUE(store);
  ASSERT_TRUE(put(**store, *io));
  const std::uint64_t before = superblock_on(memory).generation;
  bool first = true;
  faulty.set_plan(blockio::fail_nth(OpKind::flush, 0));
  device.watch([&](blockio::IoOp& op) {
    if (op.kind != OpKind::flush || !std::exchange(first, false)) return;
    // Just before the checkpoint's own.
    std::thread([&] { EXPECT_FALSE((*store)->flush_device(*other)); }).join();
  });
  EXPECT_FALSE((*store)->checkpoint(*io));
  device.watch({});
  EXPECT_EQ(superblock_on(memory).generation, before);
  EXPECT_TRUE(is_marked(memory));
}

// A commit that needs more nodes at a time than the cache may hold has evictions rest; the volume stops, and the commit
// fails, at every one of its reads in turn.
TEST(StoreStopTest, ACommitThatFailsDoesNotLeaveTheCacheWithoutALimit) {
  constexpr std::uint64_t kItems = 1200;
  constexpr std::uint64_t kPutAgain = 400;
  constexpr std::size_t kMostNodes = 80;  // those that are kept whatever the limit, and their parents
  const std::vector<std::byte> value(200);
  const auto key_of = [](std::uint64_t i) { return format::Key{InodeNumber{2 + i}, format::ItemKind::inode, 0}; };
  blockio::MemoryDevice memory(formatted_image());
  std::size_t items = 0;
  {
    const auto io = open_queue(memory);
    auto store = Store::open(memory, *io, test_options());
    ASSERT_TRUE(store);
    for (std::uint64_t i = 0; i < kItems; ++i) {
      Transaction transaction;
      transaction.put(key_of(i), value);
      ASSERT_TRUE((*store)->commit(*io, transaction));
    }
    items = contents_of(**store, *io).size();
    ASSERT_TRUE((*store)->close(*io));
  }
  StoreOptions options = test_options();
  options.cache_bytes = 1;
  bool stopped = true;
  for (unsigned at = 1; stopped; at += 20) {
    SCOPED_TRACE(at);
    blockio::MemoryDevice copy(memory.snapshot());
    WatchedDevice device(copy);
    const auto io = open_queue(device);
    auto store = Store::open(device, *io, options);
    ASSERT_TRUE(store);
    unsigned reads = 0;
    device.watch([&](blockio::IoOp& op) {
      if (op.kind == OpKind::read && ++reads == at) (*store)->shut_down("a test");
    });
    Transaction transaction;
    for (std::uint64_t i = 0; i < kPutAgain; ++i) transaction.put(key_of(i), value);
    stopped = !(*store)->commit(*io, transaction);
    device.watch({});
    EXPECT_EQ(contents_of(**store, *io).size(), items);
    if (stopped) {
      EXPECT_LT((*store)->stats().cache_bytes, kMostNodes * 2 * (*store)->layout().node_size());
    }
  }
}

// A flush that fails stops the volume, so nobody may have one without need: healing has none.
TEST(StoreStopTest, HealingIsNoDurableWrite) {
  blockio::MemoryDevice memory(formatted_image());
  blockio::FaultyDevice faulty(memory);
  const auto io = open_queue(faulty);
  auto store = Store::open(faulty, *io, test_options());
  ASSERT_TRUE(store);
  blockio::AlignedBuffer zeros(format::kSuperblockSize);
  std::memset(zeros.data(), 0, zeros.size());
  const std::size_t slot = superblock_on(memory).generation % format::kSuperblockSlots;
  blockio::IoOp damage = blockio::IoOp::write(format::superblock_offset(slot, 1), zeros.span());
  ASSERT_TRUE(open_queue(memory)->run(damage));
  faulty.set_plan([](const blockio::FaultQuestion& question) {
    const bool flushes = question.op.kind == OpKind::write_durable || question.op.kind == OpKind::flush;
    return flushes ? blockio::Fault::fail : blockio::Fault::none;
  });
  MetadataScrub scrub;
  ASSERT_TRUE((*store)->scrub_unit(*io, 0, scrub));
  ASSERT_EQ(scrub.findings.size(), 1U);
  EXPECT_TRUE(scrub.findings[0].healed);
  EXPECT_FALSE((*store)->read_only());
}

TEST(StoreStopTest, ALabelThatCannotBeWrittenStopsTheVolume) {
  blockio::MemoryDevice memory(formatted_image());
  blockio::FaultyDevice faulty(memory);
  const auto io = open_queue(faulty);
  unsigned reports = 0;
  StoreOptions options = test_options();
  options.on_failure = [&reports] { ++reports; };
  auto store = Store::open(faulty, *io, options);
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->set_label(*io, "one"));
  ASSERT_TRUE(put(**store, *io));
  faulty.set_plan(blockio::fail_nth(OpKind::write_durable, 1));
  EXPECT_FALSE((*store)->set_label(*io, "two"));
  EXPECT_EQ((*store)->label(), "one");
  EXPECT_FALSE((*store)->sync(*io));
  EXPECT_TRUE((*store)->read_only());
  EXPECT_EQ(reports, 1U);
  EXPECT_TRUE(is_marked(memory));
}

}  // namespace
}  // namespace ashlar::store::testing
