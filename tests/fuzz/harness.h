// What is fuzzed: functions that take any bytes, and must neither crash, hang, read or write out of bounds, nor break
// what they check with FUZZ_CHECK. libfuzzer_main.cc makes a libFuzzer program of each; replay_test.cc runs them all
// for a moment.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

namespace ashlar::fuzz {

using Bytes = std::vector<std::uint8_t>;

struct Harness {
  std::string_view name;
  void (*run)(std::span<const std::uint8_t> input);
  std::vector<Bytes> (*seeds)();
};

// A superblock, sealed: what is accepted has a layout whose every place lies in the volume.
extern const Harness kSuperblockHarness;
// A tree node with identity and checksum made right, and the items in it.
extern const Harness kNodeHarness;
// A chunk of the log, likewise, its records and operations.
extern const Harness kLogHarness;
// A volume with some of everything, changed in several structures with all checksums made right, on a larger device:
// checked, mounted, used, unmounted, repaired, clean, and nothing written behind it.
extern const Harness kImageHarness;

#define FUZZ_CHECK(condition)                                                                 \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      static_cast<void>(std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition)); \
      std::abort();                                                                           \
    }                                                                                         \
  } while (false)

}  // namespace ashlar::fuzz
