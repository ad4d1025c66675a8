// What the daemon copies of file data: nothing, but what the page cache sends in small writes, once. The device here
// notes the memory it is given.
#include <gtest/gtest.h>

#include <cstring>

#include "blockio/aligned_buffer.h"
#include "blockio/immediate_queue.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr std::size_t kLarge = 1U << 20;
constexpr std::size_t kSmall = 4096;

// The rig's device, seen through an eye that counts the bytes which go between the device and memory inside and outside
// of one buffer.
class CopiesTest : public ::testing::Test {
 protected:
  CopiesTest()
      : buffer_(kLarge + std::size_t{2} * rig_.block_size()),
        io_(*blockio::ImmediateQueue::open(rig_.device().geometry(), {},
                                           {[this](const blockio::IoOp& op, std::size_t&) {
                                              note(op);
                                              return rig_.device().perform(op);
                                            },
                                            {}})),
        context_{*io_},
        inode_(rig_.make_file(kRootInode, "file")) {}

  void fill(std::size_t size) {
    const std::string bytes = pattern(size, 7);
    std::memcpy(buffer_.data(), bytes.data(), size);
  }
  [[nodiscard]] std::span<const std::byte> data(std::size_t size) const { return buffer_.span().first(size); }

  Rig rig_;
  blockio::AlignedBuffer buffer_;
  std::unique_ptr<blockio::IoQueue> io_;
  Context context_;
  const InodeNumber inode_;
  std::uint64_t inside_ = 0;
  std::uint64_t outside_ = 0;

 private:
  void note(const blockio::IoOp& op) {
    if (op.kind != blockio::OpKind::read && op.kind != blockio::OpKind::write) return;
    blockio::for_each_segment(op, [this](std::uint64_t, std::span<std::byte> memory) {
      const bool ours =
          memory.data() >= buffer_.data() && memory.data() + memory.size() <= buffer_.data() + buffer_.span().size();
      (ours ? inside_ : outside_) += memory.size();
    });
  }
};

TEST_F(CopiesTest, AWriteGoesToTheDeviceFromTheCallersMemory) {
  fill(kLarge);
  ASSERT_TRUE(rig_.volume().write(context_, inode_, 0, data(kLarge), false));
  EXPECT_EQ(inside_, kLarge);
  EXPECT_EQ(outside_, 0U);
}

TEST_F(CopiesTest, ALargeWriteOfThePageCacheToo) {
  fill(kLarge);
  ASSERT_TRUE(rig_.volume().write(context_, inode_, 0, data(kLarge), false, WriteOrigin::page_cache));
  EXPECT_EQ(inside_, kLarge);
  EXPECT_EQ(outside_, 0U);
}

// docs/decisions/0007
TEST_F(CopiesTest, ASmallWriteOfThePageCacheIsCopiedOnce) {
  fill(kSmall);
  ASSERT_TRUE(rig_.volume().write(context_, inode_, 0, data(kSmall), false, WriteOrigin::page_cache));
  EXPECT_EQ(inside_ + outside_, 0U);
  buffer_.span()[0] = std::byte{0xff};  // the caller's memory is the caller's again
  EXPECT_EQ(rig_.read(inode_, 0, 1), pattern(1, 7));
}

TEST_F(CopiesTest, AReadIsAnsweredFromTheMemoryThatTheDeviceFilled) {
  rig_.write(inode_, 0, pattern(kLarge, 7));
  const auto read = rig_.volume().read(context_, inode_, 0, kLarge, buffer_.span());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(inside_, kLarge);
  EXPECT_EQ(outside_, 0U);
  EXPECT_EQ(read->data(), buffer_.data());
  EXPECT_TRUE(same({reinterpret_cast<const char*>(read->data()), read->size()}, pattern(kLarge, 7)));
}

// Whole blocks come from the device; the answer is where they lie, not moved.
TEST_F(CopiesTest, NeitherIsOneThatBeginsInsideABlock) {
  rig_.write(inode_, 0, pattern(kLarge, 7));
  constexpr std::size_t kFrom = 1000;
  const auto read = rig_.volume().read(context_, inode_, kFrom, kSmall, buffer_.span());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(outside_, 0U);
  EXPECT_EQ(inside_, 2 * std::uint64_t{rig_.block_size()});
  EXPECT_EQ(read->data(), buffer_.data() + kFrom);
  EXPECT_TRUE(
      same({reinterpret_cast<const char*>(read->data()), read->size()}, pattern(kLarge, 7).substr(kFrom, kSmall)));
}

}  // namespace
}  // namespace ashlar::volume::testing
