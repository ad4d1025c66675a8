#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/store/tree/tree_harness.h"

namespace ashlar::store {
namespace {

void fill(TreeHarness& harness, std::uint64_t items) {
  for (std::uint64_t i = 1; i <= items; ++i) harness.put(key_of(i), value_of(40, 1));
}

TEST(TreeCheckpoint, WritesNothingWhenNothingChanged) {
  TreeHarness harness;
  fill(harness, 500);
  harness.checkpoint();
  const std::size_t writes = harness.nodes().writes();
  const format::NodePointer root = harness.root();
  harness.checkpoint();
  EXPECT_EQ(harness.nodes().writes(), writes);
  EXPECT_EQ(harness.root(), root);
  // Not even the root is needed in memory for that.
  harness.reopen();
  const std::size_t reads = harness.nodes().reads();
  harness.tree().freeze();
  std::vector<format::NodePointer> freed;
  const auto same = harness.tree().write_frozen(harness.nodes(), freed);
  ASSERT_TRUE(same);
  EXPECT_EQ(*same, root);
  EXPECT_THAT(freed, testing::IsEmpty());
  EXPECT_EQ(harness.nodes().reads(), reads);
}

TEST(TreeCheckpoint, WritesOnlyThePathOfAChange) {
  TreeHarness harness;
  fill(harness, 2000);
  harness.checkpoint();
  const std::size_t writes = harness.nodes().writes();
  harness.put(key_of(1000), value_of(40, 2));
  EXPECT_EQ(harness.tree().dirty_nodes(), harness.tree().height());
  harness.checkpoint();
  EXPECT_EQ(harness.nodes().writes() - writes, harness.tree().height());
  EXPECT_EQ(harness.tree().dirty_nodes(), 0U);
}

TEST(TreeCheckpoint, DirtyNodesAreWhatTheNextCheckpointWrites) {
  TreeHarness harness;
  RandomWork work(harness, 77, 1024);
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 10; ++i) work.change(round % 10 < 6);
    const std::uint64_t dirty = harness.tree().dirty_nodes();
    const std::size_t writes = harness.nodes().writes();
    harness.checkpoint();
    EXPECT_EQ(harness.nodes().writes() - writes, dirty);
  }
}

TEST(TreeCheckpoint, DirtyNodesCountTheFrozenAndTheLiveTree) {
  TreeHarness harness;
  fill(harness, 500);
  harness.checkpoint();
  harness.put(key_of(1), value_of(40, 2));
  const std::uint64_t height = harness.tree().height();
  bool changed = false;
  harness.nodes().before_place = [&] {
    if (std::exchange(changed, true)) return;
    EXPECT_EQ(harness.tree().dirty_nodes(), height);
    harness.put(key_of(1), value_of(40, 3));
    EXPECT_EQ(harness.tree().dirty_nodes(), 2 * height);
  };
  harness.checkpoint();
  EXPECT_EQ(harness.tree().dirty_nodes(), height);
}

TEST(TreeCheckpoint, AFailingSinkEndsIt) {
  class FailingSink final : public NodeSink {
   public:
    explicit FailingSink(bool at_place) : at_place_(at_place) {}
    Result<format::NodePointer> place(std::uint8_t) override {
      if (at_place_) return fail(ErrorCode::no_space);
      return format::NodePointer{};
    }
    Status write(const format::NodePointer&, std::span<const std::byte>) override { return fail(ErrorCode::io_error); }

   private:
    const bool at_place_;
  };
  for (const bool at_place : {false, true}) {
    TreeHarness harness;
    fill(harness, 100);
    harness.tree().freeze();
    FailingSink sink(at_place);
    std::vector<format::NodePointer> freed;
    const auto root = harness.tree().write_frozen(sink, freed);
    ASSERT_FALSE(root);
    EXPECT_EQ(root.error().code(), at_place ? ErrorCode::no_space : ErrorCode::io_error);
    harness.expect_equal();  // what is in memory stays readable
  }
}

// Erased data does not linger in what is written afterwards.
TEST(TreeCheckpoint, ImagesHoldNothingButItems) {
  TreeHarness harness;
  const std::byte secret{0xa5};
  for (std::uint64_t i = 1; i <= 8; ++i) harness.put(key_of(i), std::vector<std::byte>(40, secret));
  for (std::uint64_t i = 1; i <= 7; i += 2) harness.erase(key_of(i));
  for (std::uint64_t i = 2; i <= 8; i += 2) harness.put(key_of(i), value_of(10, 1));

  class LookingSink final : public NodeSink {
   public:
    Result<format::NodePointer> place(std::uint8_t level) override {
      format::NodePointer pointer;
      pointer.level = level;
      pointer.address[0] = BlockNumber{1};
      pointer.address[1] = BlockNumber{2};
      return pointer;
    }
    Status write(const format::NodePointer&, std::span<const std::byte> image) override {
      image_.assign(image.begin(), image.end());
      return {};
    }
    std::vector<std::byte> image_;
  };
  LookingSink sink;
  harness.tree().freeze();
  std::vector<format::NodePointer> freed;
  ASSERT_TRUE(harness.tree().write_frozen(sink, freed));
  EXPECT_THAT(std::span(sink.image_).subspan(sizeof(format::NodeHeader)), testing::Not(testing::Contains(secret)));
}

}  // namespace
}  // namespace ashlar::store
