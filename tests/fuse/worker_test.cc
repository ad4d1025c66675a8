// Where requests are received: a WRITE's payload goes to the device from there, without a copy.
#include "fs/fuse/worker.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <cstdint>

#include "blockio/memory_device.h"

namespace ashlar::fuse {
namespace {

constexpr std::uint32_t kBlockSize = 4096;
constexpr std::size_t kLibfuseHeaderRoom = 4096;  // libfuse reads up to the largest payload and a page

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Worker>> made = Worker::create(device_, {}, kBlockSize);
    ASSERT_TRUE(made) << made.error().message();
    worker_ = *std::move(made);
  }

  blockio::MemoryDevice device_{1U << 20};
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, AWritesPayloadBeginsOnAPage) {
  const auto payload =
      reinterpret_cast<std::uintptr_t>(worker_->request()) + sizeof(fuse_in_header) + sizeof(fuse_write_in);
  EXPECT_EQ(payload % blockio::kBufferAlignment, 0U);
}

TEST_F(WorkerTest, TheLargestRequestFits) { EXPECT_GE(worker_->request_capacity(), kMaxTransfer + kLibfuseHeaderRoom); }

TEST_F(WorkerTest, TheLargestAnswerFitsWithTheBlocksAroundIt) {
  EXPECT_GE(worker_->answer().size(), kMaxTransfer + 2 * kBlockSize);
}

TEST_F(WorkerTest, OperationsFindTheirThreadsWorker) {
  const Worker::Scope scope(*worker_);
  EXPECT_EQ(&Worker::current(), worker_.get());
}

}  // namespace
}  // namespace ashlar::fuse
