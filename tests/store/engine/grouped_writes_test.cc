// Small writes of several threads in one: all are on the device when they return, fewer device writes than callers, and
// a failure is told to those whose data it was.
#include "fs/store/grouped_writes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "blockio/faulty_device.h"
#include "blockio/recording_device.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

constexpr std::uint32_t kBlockSize = 512;
constexpr unsigned kThreads = 8;
constexpr unsigned kWrites = 40;

class GroupedWritesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    io_ = open_queue(faulty_);
    auto opened = Store::open(faulty_, *io_, test_options());
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = *std::move(opened);
  }

  Result<Allocation> write(blockio::IoQueue& io, std::uint64_t blocks, char fill) {
    blockio::AlignedBuffer buffer(blocks * kBlockSize);
    std::memset(buffer.data(), fill, buffer.size());
    const iovec piece{buffer.data(), buffer.size()};
    return store_->write_grouped(io, BlockNumber{0}, {&piece, 1}, blocks);
  }

  std::string on_device(BlockRun run) {
    blockio::AlignedBuffer buffer(run.count * kBlockSize);
    blockio::IoOp read = blockio::IoOp::read(store_->layout().byte_offset(run.first), buffer.span());
    EXPECT_TRUE(io_->run(read));
    return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
  }

  struct Written {
    Allocation allocation;
    std::uint64_t blocks;
    char fill;
  };
  // Each thread writes one after the other; what failed with io_error is counted instead.
  std::vector<Written> write_from_threads(std::atomic<unsigned>& failures) {
    std::vector<Written> all;
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const auto io = open_queue(faulty_);
        for (unsigned i = 0; i < kWrites; ++i) {
          const std::uint64_t blocks = 1 + (t + i) % 4;
          const char fill = static_cast<char>('a' + (t * 7 + i) % 26);
          Result<Allocation> allocation = write(*io, blocks, fill);
          if (!allocation) {
            EXPECT_EQ(allocation.error().code(), ErrorCode::io_error) << allocation.error().message();
            ++failures;
            continue;
          }
          const std::lock_guard lock(mutex);
          all.push_back({*std::move(allocation), blocks, fill});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return all;
  }

  void expect_all_there(const std::vector<Written>& all) {
    for (const Written& written : all) {
      const BlockRun run = written.allocation.run();
      ASSERT_EQ(run.count, written.blocks);
      EXPECT_EQ(on_device(run), std::string(written.blocks * kBlockSize, written.fill));
    }
  }

  blockio::RecordingDevice recorder_{formatted_image(kBlockSize)};
  blockio::FaultyDevice faulty_{recorder_};
  std::unique_ptr<blockio::IoQueue> io_;
  std::unique_ptr<Store> store_;
};

TEST_F(GroupedWritesTest, WhoComesAloneIsWrittenAtOnce) {
  const std::size_t before = recorder_.event_count();
  const Result<Allocation> allocation = write(*io_, 3, 'x');
  ASSERT_TRUE(allocation);
  EXPECT_EQ(allocation->run().count, 3U);
  EXPECT_EQ(recorder_.event_count(), before + 1);
  EXPECT_EQ(on_device(allocation->run()), std::string(3 * kBlockSize, 'x'));
}

TEST_F(GroupedWritesTest, ThreadsShareDeviceWrites) {
  faulty_.set_plan([](const blockio::FaultQuestion&) { return blockio::Fault::delay; });
  const std::size_t before = recorder_.event_count();
  std::atomic<unsigned> failures{0};
  const std::vector<Written> all = write_from_threads(failures);
  faulty_.set_plan({});
  EXPECT_EQ(failures, 0U);
  ASSERT_EQ(all.size(), kThreads * kWrites);
  expect_all_there(all);
  EXPECT_LT(recorder_.event_count() - before, all.size());
}

TEST_F(GroupedWritesTest, AFailureIsOfThoseWhoseDataItWas) {
  faulty_.set_plan(blockio::fail_nth(blockio::OpKind::write, 5));
  std::atomic<unsigned> failures{0};
  const std::vector<Written> all = write_from_threads(failures);
  faulty_.set_plan({});
  EXPECT_GT(failures, 0U);
  EXPECT_EQ(all.size() + failures, kThreads * kWrites);
  expect_all_there(all);
  EXPECT_FALSE(store_->read_only());
  EXPECT_TRUE(write(*io_, 1, 'y'));
}

TEST_F(GroupedWritesTest, WithoutARunOfThatLengthTheCallerIsOnItsOwn) {
  // All but every other block is taken.
  std::vector<Allocation> taken;
  AllocationRequest request;
  request.maximum = 1;
  for (;;) {
    Result<Allocation> allocation = store_->allocate(*io_, request);
    if (!allocation) break;
    taken.push_back(*std::move(allocation));
  }
  ASSERT_GT(taken.size(), 100U);
  std::sort(taken.begin(), taken.end(),
            [](const Allocation& a, const Allocation& b) { return a.run().first < b.run().first; });
  for (std::size_t i = 0; i < taken.size(); i += 2) taken[i] = Allocation();
  const Result<Allocation> allocation = write(*io_, 4, 'z');
  ASSERT_TRUE(allocation) << allocation.error().message();
  EXPECT_EQ(allocation->run().count, 0U);
  EXPECT_TRUE(write(*io_, 1, 'z'));
}

}  // namespace
}  // namespace ashlar::store::testing
