// Threads that take, commit and give back blocks beside checkpoints never get the same block twice.
#include <atomic>
#include <mutex>
#include <thread>

#include "tests/store/allocator/allocator_fixture.h"

namespace ashlar::store {
namespace {

class AllocatorThreads : public AllocatorFixture {
 protected:
  // Marks the blocks of a run as somebody's; false when one of them was already.
  [[nodiscard]] bool own(BlockRun run) {
    bool alone = true;
    for (std::uint64_t i = 0; i < run.count; ++i) {
      if (owned_[run.first.value() + i].exchange(true)) alone = false;
    }
    return alone;
  }
  void disown(BlockRun run) {
    for (std::uint64_t i = 0; i < run.count; ++i) owned_[run.first.value() + i].store(false);
  }

  std::vector<std::atomic<bool>> owned_;
};

constexpr int kThreads = 6;
constexpr int kSteps = 3000;

TEST_F(AllocatorThreads, NoBlockIsHandedOutTwice) {
  make(VolumeShape{.bytes = 16U << 20});
  std::vector<std::atomic<bool>> owned(layout_->block_count());
  owned_.swap(owned);
  std::mutex commit_lock;
  std::atomic<bool> done{false};
  std::atomic<int> failures{0};

  const auto worker = [&](unsigned seed) {
    std::mt19937 random(seed);
    auto queue = device_->open_queue({});
    if (!queue) {
      failures.fetch_add(1);
      return;
    }
    std::vector<BlockRun> mine;
    for (int step = 0; step < kSteps; ++step) {
      AllocationRequest request;
      request.purpose = random() % 4 == 0 ? Purpose::metadata : Purpose::data;
      request.minimum = 1;
      request.maximum = 1 + random() % 100;
      request.goal = BlockNumber{random() % 3 == 0 ? random() % layout_->block_count() : 0};
      const auto run = allocator_->allocate(**queue, request);
      if (run) {
        if (!own(*run)) failures.fetch_add(1);
        if (random() % 4 == 0) {
          disown(*run);
          allocator_->cancel(*run);
        } else {
          if (!allocator_->pin(**queue, std::span(&*run, 1))) failures.fetch_add(1);
          {
            const std::scoped_lock lock(commit_lock);
            allocator_->commit(std::span(&*run, 1), {});
          }
          allocator_->unpin(std::span(&*run, 1));
          mine.push_back(*run);
        }
      }
      if (mine.empty() || (run && random() % 2 == 0)) continue;
      std::swap(mine[random() % mine.size()], mine.back());
      const BlockRun old = mine.back();
      mine.pop_back();
      if (!allocator_->pin(**queue, std::span(&old, 1))) failures.fetch_add(1);
      // From here on a checkpoint may give them to others.
      disown(old);
      {
        const std::scoped_lock lock(commit_lock);
        allocator_->commit({}, std::span(&old, 1));
      }
      allocator_->unpin(std::span(&old, 1));
    }
  };
  std::thread checkpointer([&] {
    while (!done.load()) {
      {
        const std::scoped_lock lock(commit_lock);
        begin_checkpoint();
      }
      const auto totals = allocator_->write_frozen(*io_);
      if (!totals) {
        failures.fetch_add(1);
        return;
      }
      finish_checkpoint(*totals);
    }
  });
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(worker, i);
  for (std::thread& thread : threads) thread.join();
  done.store(true);
  checkpointer.join();

  EXPECT_EQ(failures.load(), 0);
  EXPECT_FALSE(allocator_->damaged());
  checkpoint();
  EXPECT_EQ(allocator_->free_now(), allocator_->free_committed());
  const auto in_use = static_cast<std::uint64_t>(
      std::count_if(owned_.begin(), owned_.end(), [](const std::atomic<bool>& block) { return block.load(); }));
  const std::uint64_t free_committed = allocator_->free_committed();
  reopen();
  EXPECT_EQ(allocator_->free_committed(), free_committed);
  // The root's two copies are in use as well.
  EXPECT_EQ(layout_->block_count() - layout_->fixed_blocks() - std::uint64_t{2} * layout_->node_blocks() - in_use,
            free_committed);
}

}  // namespace
}  // namespace ashlar::store
