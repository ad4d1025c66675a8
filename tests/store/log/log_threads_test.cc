// Threads that sync at the same time share device writes, and none returns before its record is durable.
#include <atomic>
#include <condition_variable>
#include <thread>

#include "tests/store/log/log_fixture.h"

namespace ashlar::store {
namespace {

class LogThreads : public LogFixture {};

constexpr int kThreads = 8;

TEST_F(LogThreads, OneWriteAnswersAllWhoWaited) {
  begin();
  // The first write lasts until everybody else has appended and asked for a sync.
  std::atomic<int> writes{0};
  device_.watch([&](blockio::IoOp&) {
    if (writes.fetch_add(1) != 0) return;
    while (writer_->stats().syncs < kThreads) std::this_thread::yield();
  });
  std::mutex commit_lock;
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const auto io = open_queue();
      Lsn lsn;
      {
        const std::scoped_lock lock(commit_lock);
        lsn = append(make_record(50));
      }
      if (!writer_->sync(*io, lsn) || writer_->durable() < lsn) failures.fetch_add(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  device_.watch({});
  EXPECT_EQ(failures.load(), 0);
  EXPECT_EQ(writes.load(), 2);
  EXPECT_EQ(writer_->stats().durable_writes, 2U);
  EXPECT_EQ(writer_->stats().syncs, static_cast<std::uint64_t>(kThreads));
  expect_log_holds(kThreads);
}

TEST_F(LogThreads, AWriteUnderWayWhenTheLogFailsAnswersNobody) {
  begin();
  const Lsn lsn = append(make_record(50));
  device_.watch([&](blockio::IoOp&) { writer_->fail_permanently(); });
  EXPECT_FALSE(writer_->sync(*io_, lsn));
  EXPECT_LT(writer_->durable(), lsn);
  device_.watch({});
  EXPECT_FALSE(writer_->sync(*io_, lsn));
}

TEST_F(LogThreads, AFailedWriteFailsAllWhoWaited) {
  begin();
  device_.watch([&](blockio::IoOp& op) {
    while (writer_->stats().syncs < kThreads) std::this_thread::yield();
    WatchedDevice::spoil(op);
  });
  std::mutex commit_lock;
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const auto io = open_queue();
      Lsn lsn;
      {
        const std::scoped_lock lock(commit_lock);
        lsn = append(make_record(50));
      }
      if (!writer_->sync(*io, lsn)) failures.fetch_add(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  device_.watch({});
  EXPECT_EQ(failures.load(), kThreads);
  EXPECT_TRUE(read_back().empty());
}

TEST_F(LogThreads, AppendsSyncsAndCheckpointsAtOnce) {
  shrink_log(32);
  begin();
  constexpr int kRecordsEach = 400;
  std::mutex commit_lock;      // orders appends, as the store's does
  std::mutex checkpoint_lock;  // before commit_lock
  std::atomic<int> failures{0};
  std::atomic<int> checkpoints{0};
  const auto make_room = [&]() -> Status {
    const std::scoped_lock checkpoint_guard(checkpoint_lock);
    LogPosition position;
    {
      const std::scoped_lock lock(commit_lock);
      position = writer_->seal();
      since_checkpoint_.clear();
    }
    std::this_thread::yield();
    superblock_.log_start = position.start.value();
    superblock_.log_start_chain = position.chain;
    writer_->advance_tail(position.start);
    checkpoints.fetch_add(1);
    return {};
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const auto io = open_queue();
      std::mt19937 random(static_cast<unsigned>(i));
      for (int n = 0; n < kRecordsEach; ++n) {
        Bytes record;
        {
          const std::scoped_lock lock(commit_lock);
          record = make_record(random() % 3000);
        }
        if (!writer_->reserve(record.size(), make_room)) {
          failures.fetch_add(1);
          return;
        }
        Lsn lsn;
        {
          const std::scoped_lock lock(commit_lock);
          lsn = writer_->append(record, record.size());
          since_checkpoint_.push_back({lsn, record});
        }
        if (random() % 2 != 0) continue;
        if (!writer_->sync(*io, lsn) || writer_->durable() < lsn) failures.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures.load(), 0);
  EXPECT_GT(checkpoints.load(), 10);
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  expect_log_holds(since_checkpoint_.size());
}

}  // namespace
}  // namespace ashlar::store
