// A directory for image files that is gone after the test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace ashlar::testing {

class Scratch {
 public:
  Scratch() {
    // Direct I/O must work there, which it does not on every tmpfs.
    const char* chosen = std::getenv("ASHLAR_TEST_DIR");
    std::string path = std::string(chosen != nullptr ? chosen : "/var/tmp") + "/ashlar-test-XXXXXX";
    if (mkdtemp(path.data()) != nullptr) path_ = path;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] bool ready() const { return !path_.empty(); }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

  std::string make_file(const std::string& name, std::uint64_t size, char fill = '\0') const {
    std::string path = file(name);
    std::ofstream stream(path, std::ios::binary);
    if (fill != '\0') stream << std::string(size, fill);
    stream.close();
    std::filesystem::resize_file(path, size);
    return path;
  }

 private:
  std::string path_;
};

// All of a small file, or its first bytes.
inline std::string contents_of(const std::string& path, std::size_t limit = 128U << 20) {
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) return {};
  std::string contents(std::min(limit, static_cast<std::size_t>(stream.tellg())), '\0');
  stream.seekg(0);
  stream.read(contents.data(), static_cast<std::streamsize>(contents.size()));
  return contents;
}

// In a test whose needs are not met here: fails it under CI=true, skips it with the reason elsewhere.
#define ASHLAR_SKIP(reason)                                                        \
  do {                                                                             \
    const char* ci = std::getenv("CI");                                            \
    if (ci != nullptr && std::string(ci) == "true") FAIL() << "in CI: " << reason; \
    GTEST_SKIP() << reason;                                                        \
  } while (false)

}  // namespace ashlar::testing
