// A libFuzzer program of the harness that ASHLAR_FUZZ_HARNESS names. `-seeds=DIR` writes its seed corpus and exits.
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/fuzz/harness.h"

namespace {

constexpr std::string_view kSeeds = "-seeds=";

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  // What the test rigs notice is a crash here.
  GTEST_FLAG_SET(break_on_failure, true);
  for (int i = 1; i < *count; ++i) {
    const std::string_view argument = (*arguments)[i];
    if (!argument.starts_with(kSeeds)) continue;
    int number = 0;
    for (const ashlar::fuzz::Bytes& seed : ashlar::fuzz::ASHLAR_FUZZ_HARNESS.seeds()) {
      std::ofstream file(std::string(argument.substr(kSeeds.size())) + "/seed-" + std::to_string(number++),
                         std::ios::binary);
      file.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
    }
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ashlar::fuzz::ASHLAR_FUZZ_HARNESS.run({data, size});
  return 0;
}
