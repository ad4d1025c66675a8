// Power cuts at every write of a workload, and at random ones with lost and torn writes: what comes back is the state
// after some prefix of the transactions, and that prefix covers every sync.
#include <gtest/gtest.h>

#include "blockio/recording_device.h"
#include "fs/store/store.h"
#include "tests/store/engine/store_fixture.h"

namespace ashlar::store::testing {
namespace {

// The states a recorded run went through.
struct History {
  std::vector<Contents> states;  // after each transaction; the first is before any
  std::vector<std::pair<std::size_t, std::size_t>>
      synced;  // (event count, index into states) at each acknowledged sync

  // The least state that a power cut after `events` events may show.
  [[nodiscard]] std::size_t promised(std::size_t events) const {
    std::size_t least = 0;
    for (const auto& [at, state] : synced) {
      if (at <= events) least = state;
    }
    return least;
  }
};

// `discard`: blocks that checkpoints free are discarded at once.
History run(blockio::RecordingDevice& device, std::uint64_t seed, int steps, bool discard = false) {
  History history;
  const auto io = open_queue(device);
  StoreOptions options = test_options();
  options.discard = discard;
  auto opened = Store::open(device, *io, options);
  EXPECT_TRUE(opened);
  if (!opened) return history;
  const std::unique_ptr<Store> store = *std::move(opened);
  Workload workload(seed);
  workload.adopt(contents_of(*store, *io));
  history.states.push_back(workload.model());
  for (int step = 0; step < steps; ++step) {
    EXPECT_TRUE(workload.step(*store, *io));
    history.states.push_back(workload.model());
    const std::uint64_t choice = workload.pick(8);
    if (choice <= 1) {
      EXPECT_TRUE(store->sync(*io));
    } else if (choice == 2) {
      EXPECT_TRUE(store->checkpoint(*io));
      while (store->discard_freed(*io)) continue;
    }
    if (choice <= 2) history.synced.emplace_back(device.event_count(), history.states.size() - 1);
  }
  EXPECT_EQ(store->stats().discarded_bytes != 0, discard);
  return history;
}

// Opens the image and finds which state it shows; checks that a second opening shows the same.
void expect_prefix(blockio::MemoryImage image, const History& history, std::size_t events, const std::string& what) {
  SCOPED_TRACE(what);
  blockio::MemoryDevice device(std::move(image));
  const auto io = open_queue(device);
  auto store = Store::open(device, *io, test_options());
  ASSERT_TRUE(store) << store.error().message();
  const Contents shown = contents_of(**store, *io);
  bool found = false;
  for (std::size_t i = history.promised(events); i < history.states.size() && !found; ++i)
    found = history.states[i] == shown;
  EXPECT_TRUE(found) << "not the state after any prefix from " << history.promised(events) << " on";
  // And it goes on from there.
  Workload more(events);
  more.adopt(shown);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(more.step(**store, *io));
  ASSERT_TRUE((*store)->close(*io));
  auto again = Store::open(device, *io, test_options());
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(contents_of(**again, *io), more.model());
}

class StoreCrashTest : public ::testing::TestWithParam<std::uint64_t> {};

void expect_prefix_after_every_cut(const blockio::RecordingDevice& device, const History& history, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t events = 0; events <= device.event_count(); ++events) {
    expect_prefix(device.after_power_cut(events), history, events, "boundary " + std::to_string(events));
    for (int variant = 0; variant < 3; ++variant) {
      expect_prefix(device.after_power_cut(events, &random), history, events,
                    "losses after " + std::to_string(events) + ", seed " + std::to_string(seed));
    }
    if (::testing::Test::HasFailure()) return;
  }
  ::testing::Test::RecordProperty("states", static_cast<int>(4 * device.event_count()));
}

TEST_P(StoreCrashTest, EveryWriteBoundaryAndRandomLosses) {
  blockio::RecordingDevice device(formatted_image());
  const History history = run(device, GetParam(), 60);
  ASSERT_FALSE(::testing::Test::HasFailure());
  expect_prefix_after_every_cut(device, history, GetParam());
}

TEST_P(StoreCrashTest, WithDiscards) {
  blockio::RecordingDevice device(formatted_image());
  const History history = run(device, GetParam() + 100, 40, true);
  ASSERT_FALSE(::testing::Test::HasFailure());
  expect_prefix_after_every_cut(device, history, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreCrashTest, ::testing::Range<std::uint64_t>(1, 7));

TEST(StoreRecoveryCrashTest, PowerCutDuringRecoveryItself) {
  blockio::RecordingDevice device(formatted_image());
  const History history = run(device, 77, 30);
  const std::size_t all = device.event_count();
  // Recovery of the whole run, recorded in its turn, and cut at each of its writes.
  blockio::RecordingDevice second(device.after_power_cut(all));
  {
    const auto io = open_queue(second);
    ASSERT_TRUE(Store::open(second, *io, test_options()));
  }
  std::mt19937_64 random(77);
  for (std::size_t events = 0; events <= second.event_count(); ++events) {
    expect_prefix(second.after_power_cut(events), history, all, "recovery boundary " + std::to_string(events));
    expect_prefix(second.after_power_cut(events, &random), history, all, "recovery losses " + std::to_string(events));
  }
}

}  // namespace
}  // namespace ashlar::store::testing
