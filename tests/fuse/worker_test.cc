// Where requests are received: a WRITE's payload goes to the device from there, without a copy.
#include "fs/fuse/worker.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <cstdint>
#include <sstream>

#include "blockio/memory_device.h"
#include "fs/fuse/dev_transport.h"
#include "fs/fuse/uring_transport.h"

namespace ashlar::fuse {
namespace {

constexpr std::uint32_t kBlockSize = 4096;
constexpr std::size_t kLibfuseHeaderRoom = 4096;  // libfuse reads up to the largest payload and a page

std::unique_ptr<DevTransport> dev_transport() {
  Result<std::unique_ptr<DevTransport>> made = DevTransport::create(nullptr, kBlockSize);
  EXPECT_TRUE(made) << made.error().message();
  return *std::move(made);
}

TEST(Crew, OneOfThemServesAlways) {
  constexpr auto kMust = Crew::Need::must;
  constexpr auto kWish = Crew::Need::wish;
  Crew three(3);
  {
    const Crew::Absence first(three, kWish);
    EXPECT_TRUE(first);
    EXPECT_FALSE(Crew::Absence(three, kWish));  // a place is left to who must
    const Crew::Absence second(three, kMust);
    EXPECT_TRUE(second);
    EXPECT_FALSE(Crew::Absence(three, kMust));
  }
  EXPECT_TRUE(Crew::Absence(three, kWish));
  Crew two(2);
  {
    const Crew::Absence first(two, kWish);
    EXPECT_TRUE(first);
    EXPECT_FALSE(Crew::Absence(two, kMust));
  }
  EXPECT_TRUE(Crew::Absence(two, kMust));
  Crew one(1);
  EXPECT_FALSE(Crew::Absence(one, kMust));
}

TEST(DevTransport, AWritesPayloadBeginsOnAPage) {
  const auto transport = dev_transport();
  const auto payload =
      reinterpret_cast<std::uintptr_t>(transport->request()) + sizeof(fuse_in_header) + sizeof(fuse_write_in);
  EXPECT_EQ(payload % blockio::kBufferAlignment, 0U);
}

TEST(DevTransport, TheLargestRequestFits) {
  EXPECT_GE(dev_transport()->request_capacity(), kMaxTransfer + kLibfuseHeaderRoom);
}

TEST(DevTransport, TheLargestAnswerFitsWithTheBlocksAroundIt) {
  EXPECT_GE(dev_transport()->answer_space().size(), kMaxTransfer + 2 * kBlockSize);
}

TEST(UringTransport, EveryProcessorHasAQueue) { EXPECT_GE(uring_queue_count(), 1U); }

TEST(UringTransport, ProcessorsAreCountedWhateverTheirNumbers) {
  const auto count = [](const char* text) {
    std::istringstream list(text);
    return count_processors(list);
  };
  EXPECT_EQ(count("0\n"), 1U);
  EXPECT_EQ(count("0-3\n"), 4U);
  EXPECT_EQ(count("0-1,4-7\n"), 6U) << "there are no processors 2 and 3";
  EXPECT_EQ(count("0,2,4\n"), 3U);
  EXPECT_EQ(count(""), 1U);
  EXPECT_EQ(count("nonsense"), 1U);
}

TEST(Worker, OperationsFindTheirThreadsWorker) {
  blockio::MemoryDevice device(1U << 20);
  Result<std::unique_ptr<blockio::IoQueue>> io = device.open_queue({});
  ASSERT_TRUE(io) << io.error().message();
  Worker worker(*std::move(io), dev_transport());
  const Worker::Scope scope(worker);
  EXPECT_EQ(&Worker::current(), &worker);
}

}  // namespace
}  // namespace ashlar::fuse
