// Every fuzzed function for a moment: its seeds, its corpus, and random changes of them with fixed seeds. `./dev fuzz`
// does it for as long as one likes, guided by coverage.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <random>
#include <string>

#include "tests/crash/budget.h"
#include "tests/fuzz/harness.h"

namespace ashlar::fuzz {
namespace {

// The four of them take minutes where a sanitizer watches: there it is that a mistake shows.
constexpr std::chrono::seconds kTime{crash_test::kSanitized ? 45 : 3};
constexpr int kMostRuns = crash_test::kSanitized ? 1'000'000 : 20'000;

// ASHLAR_FUZZ_SECONDS=N: each for so long, from other random changes every time.
struct Budget {
  std::chrono::seconds time = kTime;
  int runs = kMostRuns;
  std::uint64_t seed = 5;

  Budget() {
    const char* const seconds = std::getenv("ASHLAR_FUZZ_SECONDS");
    if (seconds == nullptr) return;
    time = std::chrono::seconds(std::strtol(seconds, nullptr, 10));
    runs = std::numeric_limits<int>::max();
    seed = std::random_device{}();
  }
};

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

// ASHLAR_FUZZ_KEEP=FILE: where the input that is run is found after a crash.
void keep(const Harness& harness, const Bytes& input) {
  static const char* const path = std::getenv("ASHLAR_FUZZ_KEEP");
  if (path == nullptr) return;
  std::ofstream file(std::string(path) + "-" + std::string(harness.name), std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
}

// What fuzzing has found worth keeping (corpus/NAME).
std::vector<Bytes> corpus_of(const Harness& harness) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(ASHLAR_FUZZ_CORPUS) / harness.name))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Bytes> corpus;
  for (const std::filesystem::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

void replay(const Harness& harness) {
  std::vector<Bytes> seeds = harness.seeds();
  ASSERT_FALSE(seeds.empty());
  const std::vector<Bytes> corpus = corpus_of(harness);
  ASSERT_FALSE(corpus.empty());
  seeds.insert(seeds.end(), corpus.begin(), corpus.end());
  for (const Bytes& seed : seeds) harness.run(seed);
  const Budget budget;
  SCOPED_TRACE("seed " + std::to_string(budget.seed));
  std::mt19937_64 random(budget.seed);
  const auto end = std::chrono::steady_clock::now() + budget.time;
  int runs = 0;
  for (; runs < budget.runs && std::chrono::steady_clock::now() < end; ++runs) {
    const Bytes input = mutate(seeds[random() % seeds.size()], random);
    keep(harness, input);
    harness.run(input);
  }
  std::cout << harness.name << ": " << seeds.size() << " seeds, " << runs << " runs\n";
}

TEST(Replay, Superblock) { replay(kSuperblockHarness); }
TEST(Replay, Node) { replay(kNodeHarness); }
TEST(Replay, Log) { replay(kLogHarness); }
TEST(Replay, Image) { replay(kImageHarness); }

}  // namespace
}  // namespace ashlar::fuzz
