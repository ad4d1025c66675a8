// The allocator against arrays of bools: random operations, checkpoints, crashes.
#include <deque>
#include <map>

#include "tests/store/allocator/allocator_fixture.h"

namespace ashlar::store {
namespace {

using Bits = std::vector<bool>;

void fill(Bits& bits, BlockRun run, bool value) {
  const auto begin = bits.begin() + static_cast<std::ptrdiff_t>(run.first.value());
  std::fill(begin, begin + static_cast<std::ptrdiff_t>(run.count), value);
}

bool any(const Bits& bits, BlockRun run) {
  for (std::uint64_t i = 0; i < run.count; ++i) {
    if (bits[run.first.value() + i]) return true;
  }
  return false;
}

class AllocatorModel : public AllocatorFixture, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  void begin() {
    committed_ = read_device();
    busy_ = committed_;
  }

  // What the last checkpoint left on the device.
  Bits read_device() {
    Bits bits;
    for (std::uint32_t group = 0; group < layout_->group_count(); ++group) {
      const Bits copy = bitmap_on_device(group, 0);
      EXPECT_EQ(copy, bitmap_on_device(group, 1)) << "the copies of group " << group << " differ";
      bits.insert(bits.end(), copy.begin(), copy.end());
    }
    return bits;
  }

  [[nodiscard]] BlockRun remove_random(std::vector<BlockRun>& runs) {
    std::swap(runs[random_() % runs.size()], runs.back());
    const BlockRun run = runs.back();
    runs.pop_back();
    return run;
  }

  void step_allocate() {
    AllocationRequest request;
    request.purpose = random_() % 4 == 0 ? Purpose::metadata : Purpose::data;
    request.minimum = 1 + random_() % 4;
    request.maximum = request.minimum + (random_() % 3 == 0 ? random_() % 500 : random_() % 10);
    if (random_() % 2 == 0) request.goal = BlockNumber{random_() % layout_->block_count()};
    if (random_() % 3 == 0) request.avoid_group = static_cast<std::uint32_t>(random_() % layout_->group_count());
    const auto run = allocate(request);
    if (!run) return;
    ASSERT_GE(run->count, request.minimum);
    ASSERT_LE(run->count, request.maximum);
    ASSERT_LE(run->end().value(), layout_->block_count());
    ASSERT_FALSE(any(busy_, *run)) << "blocks handed out twice";
    fill(busy_, *run, true);
    taken_.push_back(*run);
  }

  void step_cancel() {
    if (taken_.empty()) return;
    const BlockRun run = remove_random(taken_);
    allocator_->cancel(run);
    fill(busy_, run, false);
  }

  void step_commit() {
    if (taken_.empty()) return;
    const BlockRun run = remove_random(taken_);
    commit_allocate(run);
    fill(committed_, run, true);
    in_use_.push_back(run);
  }

  void step_free() {
    if (in_use_.empty()) return;
    BlockRun run = remove_random(in_use_);
    if (run.count > 1 && random_() % 2 == 0) {
      const std::uint64_t kept = 1 + random_() % (run.count - 1);
      in_use_.push_back(BlockRun{run.first + (run.count - kept), kept});
      run.count -= kept;
    }
    ASSERT_TRUE(allocator_->pin(*io_, std::span(&run, 1)).has_value());
    ASSERT_TRUE(allocator_->check_free(std::span(&run, 1)).has_value());
    allocator_->unpin(std::span(&run, 1));
    commit_free(run);
    fill(committed_, run, false);
    freed_.push_back(run);
  }

  // A checkpoint with everything else going on during it.
  void step_checkpoint() {
    begin_checkpoint();
    Bits frozen = committed_;
    std::vector<BlockRun> released = std::exchange(freed_, {});
    // Nodes that this checkpoint writes and replaces, with other people's changes in between.
    for (int i = 0; i < 10; ++i) {
      run_steps(5);
      AllocationRequest request;
      request.purpose = Purpose::metadata;
      request.minimum = request.maximum = 2;
      const auto run = allocate(request);
      if (!run) continue;
      ASSERT_FALSE(any(busy_, *run));
      ASSERT_TRUE(allocator_->commit_node_allocate(*io_, *run).has_value());
      fill(busy_, *run, true);
      fill(committed_, *run, true);
      fill(frozen, *run, true);
      nodes_.push_back(*run);
      if (nodes_.size() < 4 || random_() % 2 == 0) continue;
      const BlockRun old = nodes_.front();
      nodes_.pop_front();
      ASSERT_TRUE(allocator_->commit_node_free(*io_, old).has_value());
      fill(committed_, old, false);
      fill(frozen, old, false);
      released.push_back(old);
    }
    const auto totals = allocator_->write_frozen(*io_);
    ASSERT_TRUE(totals.has_value()) << totals.error().message();
    run_steps(10);
    const auto in_use = static_cast<std::uint64_t>(std::count(frozen.begin(), frozen.end(), true));
    ASSERT_EQ(totals->free_blocks, frozen.size() - in_use);
    finish_checkpoint(*totals);
    for (const BlockRun& run : released) fill(busy_, run, false);
    ASSERT_EQ(read_device(), frozen);
    durable_ = frozen;
  }

  void run_steps(int count) {
    for (int i = 0; i < count && !HasFatalFailure(); ++i) {
      switch (random_() % 7) {
        case 0:
        case 1:
        case 2: step_allocate(); break;
        case 3: step_cancel(); break;
        case 4:
        case 5: step_commit(); break;
        default: step_free(); break;
      }
    }
  }

  void check_counts() {
    const auto clear = [](const Bits& bits) {
      return static_cast<std::uint64_t>(std::count(bits.begin(), bits.end(), false));
    };
    std::uint64_t waiting = 0;
    for (const BlockRun& run : freed_) waiting += run.count;
    ASSERT_EQ(allocator_->free_now(), clear(busy_));
    ASSERT_EQ(allocator_->free_committed(), clear(committed_));
    ASSERT_EQ(allocator_->waiting(), waiting);
    ASSERT_FALSE(allocator_->damaged());
  }

  Bits committed_;
  Bits busy_;
  Bits durable_;
  std::vector<BlockRun> taken_;
  std::vector<BlockRun> in_use_;
  std::vector<BlockRun> freed_;  // since the last freeze
  std::deque<BlockRun> nodes_;
};

TEST_P(AllocatorModel, RandomOperationsAndCheckpoints) {
  random_.seed(GetParam());
  make(VolumeShape{.bytes = 32U << 20});
  begin();
  for (int round = 0; round < 60; ++round) {
    run_steps(200);
    if (HasFatalFailure()) return;
    check_counts();
    step_checkpoint();
    if (HasFatalFailure()) return;
    check_counts();
    if (HasFatalFailure()) return;
  }
}

TEST_P(AllocatorModel, AFullVolumeLosesNothing) {
  random_.seed(GetParam());
  make(VolumeShape{.bytes = 16U << 20});
  begin();
  const std::uint64_t free_at_first = allocator_->free_now();
  for (int round = 0; round < 3; ++round) {
    // To the last block.
    while (const auto run = allocate(1, 1 + random_() % 300)) {
      ASSERT_FALSE(any(busy_, *run));
      fill(busy_, *run, true);
      commit_allocate(*run);
      in_use_.push_back(*run);
    }
    ASSERT_EQ(allocator_->free_now(), 0U);
    ASSERT_EQ(std::count(busy_.begin(), busy_.end(), false), 0);
    for (const BlockRun& run : in_use_) {
      commit_free(run);
      fill(busy_, run, false);
    }
    in_use_.clear();
    ASSERT_EQ(allocator_->free_now(), 0U) << "reusable before the checkpoint";
    checkpoint();
    ASSERT_EQ(allocator_->free_now(), free_at_first);
    ASSERT_EQ(allocator_->waiting(), 0U);
  }
}

TEST_P(AllocatorModel, ReopeningFindsTheLastCheckpoint) {
  random_.seed(GetParam());
  make(VolumeShape{.bytes = 32U << 20});
  begin();
  for (int round = 0; round < 15; ++round) {
    run_steps(150);
    step_checkpoint();
    if (HasFatalFailure()) return;
    const std::vector<BlockRun> in_use_then = in_use_;
    const std::deque<BlockRun> nodes_then = nodes_;
    // Lost again: some of it after a checkpoint that was begun and even written.
    run_steps(100);
    if (random_() % 2 == 0) {
      begin_checkpoint();
      ASSERT_TRUE(allocator_->write_frozen(*io_).has_value());
    }
    reopen();
    committed_ = durable_;
    busy_ = durable_;
    taken_.clear();
    freed_.clear();
    nodes_ = nodes_then;
    // Commits during the last checkpoint are in in_use_then and not on the device.
    in_use_.clear();
    for (const BlockRun& run : in_use_then) {
      bool whole = true;
      for (std::uint64_t i = 0; i < run.count; ++i) whole = whole && durable_[run.first.value() + i];
      if (whole) in_use_.push_back(run);
    }
    check_counts();
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, AllocatorModel, ::testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace ashlar::store
