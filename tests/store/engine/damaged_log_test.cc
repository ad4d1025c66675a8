// A volume whose log was damaged between a crash and the next mount: used as far as it goes, and marked.
#include <gtest/gtest.h>

#include "blockio/faulty_device.h"
#include "fs/store/superblock_io.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

constexpr std::size_t kRecordedSteps = 5;

class DamagedLogTest : public ::testing::Test {
 protected:
  // Some transactions, each acknowledged by a sync of its own, then a crash.
  void SetUp() override {
    const auto io = open_queue(memory_);
    auto store = Store::open(memory_, *io, test_options());
    ASSERT_TRUE(store);
    log_offset_ = (*store)->layout().byte_offset((*store)->layout().log().first);
    Workload workload(4);
    workload.adopt(contents_of(**store, *io));
    states_.push_back(workload.model());
    for (std::size_t i = 0; i < kRecordedSteps; ++i) {
      // A new volume's log begins with its area.
      starts_.push_back((*store)->stats().log.chunk_bytes);
      ASSERT_TRUE(workload.step(**store, *io));
      ASSERT_TRUE((*store)->sync(*io));
      states_.push_back(workload.model());
    }
  }

  void flip(std::uint64_t offset) {
    blockio::MemoryImage image = memory_.snapshot();
    std::byte byte{};
    image.read(offset, {&byte, 1});
    byte ^= std::byte{1};
    image.write(offset, {&byte, 1});
    memory_.restore(std::move(image));
  }
  [[nodiscard]] format::Superblock superblock() {
    const auto io = open_queue(memory_);
    const auto read = read_superblock(memory_.geometry(), *io, true);
    EXPECT_TRUE(read);
    return *read;
  }

  // Mounts with `device` and finds the state after the first `kept` transactions, and the mark.
  void expect_marked_prefix(blockio::BlockDevice& device, std::size_t kept) {
    const auto io = open_queue(device);
    {
      auto store = Store::open(device, *io, test_options());
      ASSERT_TRUE(store) << store.error().message();
      EXPECT_EQ(contents_of(**store, *io), states_[kept]);
      EXPECT_EQ((*store)->stats().errors_here.metadata, 1U);
      EXPECT_NE(superblock().flags & format::kHasErrors, 0U);
      ASSERT_TRUE((*store)->close(*io));
    }
    EXPECT_EQ(superblock().metadata_errors, 1U);
    // It stays so, without being counted again.
    auto store = Store::open(memory_, *io, test_options());
    ASSERT_TRUE(store) << store.error().message();
    EXPECT_EQ(contents_of(**store, *io), states_[kept]);
    EXPECT_EQ((*store)->stats().errors_here.metadata, 0U);
    EXPECT_EQ((*store)->stats().errors.metadata, 1U);
    EXPECT_NE(superblock().flags & format::kHasErrors, 0U);
  }

  blockio::MemoryDevice memory_{formatted_image()};
  std::uint64_t log_offset_ = 0;
  std::vector<std::uint64_t> starts_;  // of each transaction's chunk, from the log's beginning
  std::vector<Contents> states_;       // before the first and after each
};

TEST_F(DamagedLogTest, AChunkDamagedInTheMiddle) {
  flip(log_offset_ + starts_[2] + 80);
  expect_marked_prefix(memory_, 2);
}

TEST_F(DamagedLogTest, ABlockInTheMiddleThatCannotBeRead) {
  blockio::FaultyDevice faulty(memory_);
  faulty.set_plan([bad = log_offset_ + starts_[3]](const blockio::FaultQuestion& question) {
    const bool hit = question.op.kind == blockio::OpKind::read && question.op.offset <= bad &&
                     bad < question.op.offset + question.op.length;
    return hit ? blockio::Fault::fail : blockio::Fault::none;
  });
  expect_marked_prefix(faulty, 3);
}

TEST_F(DamagedLogTest, ReadOnlyToo) {
  flip(log_offset_ + starts_[1] + 80);
  const auto io = open_queue(memory_);
  StoreOptions options = test_options();
  options.read_only = true;
  auto store = Store::open(memory_, *io, options);
  ASSERT_TRUE(store) << store.error().message();
  EXPECT_EQ(contents_of(**store, *io), states_[1]);
  EXPECT_EQ((*store)->stats().errors_here.metadata, 1U);
}

TEST_F(DamagedLogTest, AnUndamagedOneIsNotMarked) {
  const auto io = open_queue(memory_);
  auto store = Store::open(memory_, *io, test_options());
  ASSERT_TRUE(store) << store.error().message();
  EXPECT_EQ(contents_of(**store, *io), states_[kRecordedSteps]);
  EXPECT_EQ((*store)->stats().errors_here.metadata, 0U);
  EXPECT_EQ(superblock().flags & format::kHasErrors, 0U);
}

}  // namespace
}  // namespace ashlar::store::testing
