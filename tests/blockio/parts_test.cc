// The small parts: buffer pool, histogram, statistics, helper threads.
#include <algorithm>
#include <atomic>
#include <set>

#include "blockio/buffer_pool.h"
#include "blockio/helper_threads.h"
#include "blockio/queue_statistics.h"
#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

TEST(BufferPoolTest, GivesAlignedBuffersUpToItsLimit) {
  const auto pool = BufferPool::create(8192, 3);
  ASSERT_TRUE(pool);
  std::vector<PooledBuffer> taken;
  std::set<std::byte*> places;
  for (int i = 0; i < 3; ++i) {
    taken.push_back((*pool)->take());
    ASSERT_FALSE(taken.back().empty());
    EXPECT_EQ(taken.back().span().size(), 8192U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(taken.back().span().data()) % kBufferAlignment, 0U);
    places.insert(taken.back().span().data());
  }
  EXPECT_EQ(places.size(), 3U);
  EXPECT_TRUE((*pool)->take().empty());
  EXPECT_EQ((*pool)->take().span().size(), 0U);
  taken.pop_back();
  EXPECT_EQ((*pool)->available(), 1U);
  PooledBuffer last = (*pool)->take();
  EXPECT_FALSE(last.empty());
  taken[0] = std::move(last);
  EXPECT_EQ((*pool)->available(), 1U) << "what it held before went back";
}

TEST(AlignedBufferTest, HugePagesHoldWhatOthersDo) {
  constexpr std::size_t kSize = kHugePageSize + 5000;
  AlignedBuffer buffer = AlignedBuffer::in_huge_pages(kSize);
  ASSERT_EQ(buffer.size(), kSize);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kHugePageSize, 0U);
  EXPECT_TRUE(std::ranges::all_of(buffer.span(), [](std::byte byte) { return byte == std::byte{0}; }));
  std::ranges::fill(buffer.span(), std::byte{7});
  const std::byte* const place = buffer.data();
  AlignedBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.data(), place);
  EXPECT_EQ(moved.span().back(), std::byte{7});
  moved = AlignedBuffer(10);
  EXPECT_EQ(moved.size(), 10U);
  EXPECT_TRUE(AlignedBuffer::in_huge_pages(0).empty());
  EXPECT_TRUE(AlignedBuffer::in_huge_pages(std::size_t{1} << 60).empty()) << "no such memory";
}

TEST(BufferPoolTest, RefusesWhatCannotBe) {
  EXPECT_FALSE(BufferPool::create(0, 1));
  EXPECT_FALSE(BufferPool::create(4096, 0));
  EXPECT_FALSE(BufferPool::create(1000, 1));
  EXPECT_FALSE(BufferPool::create(1U << 20, 1025));
  EXPECT_FALSE(BufferPool::create(std::size_t{1} << 40, std::size_t{1} << 40));
}

TEST(HistogramTest, BucketsAreInOrderAndHoldWhatTheySay) {
  for (std::size_t i = 0; i + 1 < LatencyHistogram::kBuckets; ++i) {
    const std::uint64_t end = LatencyHistogram::end_of(i);
    EXPECT_EQ(LatencyHistogram::bucket_of(end - 1), i);
    EXPECT_EQ(LatencyHistogram::bucket_of(end), i + 1);
  }
  EXPECT_EQ(LatencyHistogram::bucket_of(0), 0U);
  EXPECT_EQ(LatencyHistogram::bucket_of(~0ULL), LatencyHistogram::kBuckets - 1);
}

TEST(HistogramTest, QuantilesAreWithinAQuarter) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5).count(), 0);
  for (std::uint64_t microseconds = 1; microseconds <= 1000; ++microseconds) histogram.add(microseconds * 1000);
  EXPECT_EQ(histogram.count(), 1000U);
  for (const double fraction : {0.01, 0.5, 0.99, 1.0}) {
    const double exact = fraction * 1e6;
    const auto told = static_cast<double>(histogram.quantile(fraction).count());
    EXPECT_GE(told, exact);
    EXPECT_LE(told, exact * 1.26);
  }
  LatencyHistogram other;
  other.merge(histogram);
  other.merge(histogram);
  EXPECT_EQ(other.count(), 2000U);
  EXPECT_EQ(other.quantile(0.5), histogram.quantile(0.5));
}

TEST(StatisticsTest, Merge) {
  QueueStatistics a;
  QueueStatistics b;
  a.of(OpKind::read).bytes.add(5);
  b.of(OpKind::read).bytes.add(6);
  a.most_slots.raise_to(3);
  b.most_slots.raise_to(2);
  b.steps.add(9);
  a.merge(b);
  EXPECT_EQ(a.of(OpKind::read).bytes.get(), 11U);
  EXPECT_EQ(a.most_slots.get(), 3U);
  EXPECT_EQ(a.steps.get(), 9U);
}

struct CountingJob : HelperJob {
  std::atomic<int>* ran = nullptr;
};

TEST(HelperThreadsTest, RunsEverythingBeforeItEnds) {
  std::atomic<int> ran{0};
  std::vector<CountingJob> jobs(200);
  {
    HelperThreads helpers;
    for (CountingJob& job : jobs) {
      job.ran = &ran;
      job.run = [](HelperJob& self) noexcept { ++*static_cast<CountingJob&>(self).ran; };
      helpers.submit(job);
    }
  }
  EXPECT_EQ(ran.load(), 200);
}

TEST(HelperThreadsTest, WithoutThreadsTheWorkIsDoneAtOnce) {
  std::atomic<int> ran{0};
  HelperThreads helpers(0);
  CountingJob job;
  job.ran = &ran;
  job.run = [](HelperJob& self) noexcept { ++*static_cast<CountingJob&>(self).ran; };
  helpers.submit(job);
  EXPECT_EQ(ran.load(), 1);
}

class Statistics : public OnEveryDevice {};

TEST_P(Statistics, CountWhatWasDone) {
  QueueConfig config;
  config.merge = false;
  const auto queue = rig.queue(config);
  AlignedBuffer data(4096);
  for (int i = 0; i < 3; ++i) {
    IoOp write = IoOp::write(0, data.span());
    ASSERT_TRUE(queue->run(write));
  }
  IoOp beyond = IoOp::read(kDeviceSize, data.span());
  EXPECT_FALSE(queue->run(beyond));
  const QueueStatistics& figures = queue->statistics();
  EXPECT_EQ(figures.of(OpKind::write).completed.get(), 3U);
  EXPECT_EQ(figures.of(OpKind::write).bytes.get(), 3 * 4096U);
  EXPECT_EQ(figures.of(OpKind::write).latency.count(), 3U);
  EXPECT_EQ(figures.of(OpKind::read).completed.get(), 1U);
  EXPECT_EQ(figures.of(OpKind::read).failed.get(), 1U);
  EXPECT_EQ(figures.of(OpKind::read).bytes.get(), 0U);
  EXPECT_EQ(figures.steps.get(), 3U);
  EXPECT_EQ(figures.most_slots.get(), 1U);
  EXPECT_EQ(queue->selection().depth, config.depth);
}

TEST_P(Statistics, OfADeviceAreThoseOfItsQueuesOpenAndClosed) {
  QueueStatistics before;
  rig.device().add_statistics_to(before);
  AlignedBuffer data(4096);
  const auto open = rig.queue({});
  for (int i = 0; i < 2; ++i) {
    const auto closed = rig.queue({});
    IoOp write = IoOp::write(0, data.span());
    ASSERT_TRUE(closed->run(write));
  }
  IoOp write = IoOp::write(0, data.span());
  ASSERT_TRUE(open->run(write));
  QueueStatistics sum;
  rig.device().add_statistics_to(sum);
  EXPECT_EQ(sum.of(OpKind::write).completed.get() - before.of(OpKind::write).completed.get(), 3U);
  EXPECT_EQ(sum.of(OpKind::write).bytes.get() - before.of(OpKind::write).bytes.get(), 3 * 4096U);
}

INSTANTIATE_TEST_SUITE_P(Devices, Statistics, every_subject(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
