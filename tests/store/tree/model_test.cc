// The tree against an ordered map, with random operations, checkpoints, evictions and reopenings.
#include <gtest/gtest.h>

#include "tests/store/tree/tree_harness.h"

namespace ashlar::store {
namespace {

struct ModelCase {
  std::uint32_t seed;
  std::uint32_t node_size;
  std::size_t cache_bytes;
  int steps;
};

class ModelTest : public testing::TestWithParam<ModelCase> {};

TEST_P(ModelTest, EqualsAnOrderedMap) {
  const ModelCase& param = GetParam();
  TreeHarness harness({.node_size = param.node_size, .cache_bytes = param.cache_bytes});
  RandomWork work(harness, param.seed, param.node_size);
  for (int step = 0; step < param.steps && !HasFatalFailure(); ++step) {
    SCOPED_TRACE(testing::Message() << "seed " << param.seed << ", step " << step);
    const bool growing = step / 200 % 2 == 0;
    const std::uint64_t choice = work.below(100);
    if (choice < 60) {
      work.change(growing);
    } else if (choice < 90) {
      work.look();
    } else if (choice < 94) {
      harness.tree().evict();
    } else if (choice < 96) {
      harness.expect_equal();
    } else if (choice < 99) {
      harness.checkpoint();
    } else {
      harness.reopen();
      harness.expect_equal();
    }
  }
  harness.expect_equal();
  harness.checkpoint();
  harness.reopen();
  harness.expect_equal();

  // However the tree came to be: without items it is one leaf.
  const Model all = harness.model();
  for (const auto& item : all) harness.erase(item.first);
  EXPECT_EQ(harness.tree().totals().nodes, 1U);
  EXPECT_EQ(harness.tree().height(), 1);
  harness.checkpoint();
  EXPECT_EQ(harness.nodes().live_nodes(), 1U);
}

// Changes between any two nodes that a checkpoint writes belong to the next one.
TEST_P(ModelTest, ChangesDuringACheckpointStayOutOfIt) {
  const ModelCase& param = GetParam();
  TreeHarness harness({.node_size = param.node_size, .cache_bytes = param.cache_bytes});
  RandomWork work(harness, param.seed + 1000, param.node_size);
  const int checkpoints = param.steps / 50;
  bool growing = true;
  harness.nodes().before_place = [&] {
    if (work.below(3) == 0) work.change(growing);
    if (work.below(8) == 0) work.look();
    if (work.below(8) == 0) harness.tree().evict();
  };
  for (int round = 0; round < checkpoints && !HasFatalFailure(); ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << param.seed << ", round " << round);
    growing = round / 10 % 2 == 0;
    for (std::uint64_t i = work.below(12); i > 0; --i) work.change(growing);
    harness.checkpoint();
    if (work.below(10) == 0) harness.reopen();
    if (work.below(4) == 0) harness.expect_equal();
  }
  harness.expect_equal();
  harness.nodes().before_place = nullptr;
  harness.checkpoint();
  EXPECT_EQ(harness.tree().dirty_nodes(), 0U);
}

constexpr std::size_t kNoCache = 1;  // every clean node goes as soon as it may
constexpr std::size_t kSmallCache = 40 * 1024;
constexpr std::size_t kLargeCache = 64U << 20;

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest,
                         testing::Values(ModelCase{1, 1024, kLargeCache, 4000}, ModelCase{2, 1024, kSmallCache, 4000},
                                         ModelCase{3, 1024, kNoCache, 3000}, ModelCase{4, 1024, kSmallCache, 4000},
                                         ModelCase{5, 2048, kSmallCache, 3000}, ModelCase{6, 4096, kLargeCache, 2000},
                                         ModelCase{7, 65536, kNoCache, 600}),
                         [](const auto& test) { return "Seed" + std::to_string(test.param.seed); });

}  // namespace
}  // namespace ashlar::store
