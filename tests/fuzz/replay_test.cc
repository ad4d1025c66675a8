// Every fuzzed function for a moment: its seeds, and random changes of them with fixed seeds. `./dev fuzz` does it for
// as long as one likes, guided by coverage.
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tests/fuzz/harness.h"

namespace ashlar::fuzz {
namespace {

constexpr std::chrono::seconds kTime{3};
constexpr int kMostRuns = 20'000;

Bytes mutate(Bytes bytes, std::mt19937_64& random) {
  for (std::uint64_t n = 1 + random() % 6; n > 0; --n) {
    switch (bytes.empty() ? 0 : random() % 5) {
      case 0: bytes.push_back(static_cast<std::uint8_t>(random())); break;
      case 1: bytes.resize(random() % (bytes.size() + 1)); break;
      case 2: bytes[random() % bytes.size()] = 0xff; break;
      default: bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    }
  }
  return bytes;
}

void replay(const Harness& harness) {
  const std::vector<Bytes> seeds = harness.seeds();
  ASSERT_FALSE(seeds.empty());
  for (const Bytes& seed : seeds) harness.run(seed);
  std::mt19937_64 random(5);
  const auto end = std::chrono::steady_clock::now() + kTime;
  int runs = 0;
  for (; runs < kMostRuns && std::chrono::steady_clock::now() < end; ++runs)
    harness.run(mutate(seeds[random() % seeds.size()], random));
  ::testing::Test::RecordProperty("runs", runs);
}

TEST(Replay, Superblock) { replay(kSuperblockHarness); }
TEST(Replay, Node) { replay(kNodeHarness); }
TEST(Replay, Log) { replay(kLogHarness); }
TEST(Replay, Image) { replay(kImageHarness); }

}  // namespace
}  // namespace ashlar::fuzz
