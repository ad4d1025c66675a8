// What the mount tests need of the machine, and where they keep their files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace ashlar::mount_test {

// Why this machine cannot run tests that mount (not root, no /dev/fuse), and with `loop` no loop devices; nullopt when
// it can.
[[nodiscard]] std::optional<std::string> missing_for_mounting(bool loop);

// True under CI=true, where a test that cannot run fails instead of being skipped.
[[nodiscard]] bool skipping_is_failing();

// The path of one of our programs in this build.
[[nodiscard]] std::string program(const std::string& name);

// A new directory in $TMPDIR (default /var/tmp, which is on a disk more often than /tmp is), removed with its contents.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A sparse file of `bytes` bytes.
void make_sparse_file(const std::filesystem::path& path, std::uint64_t bytes);

// A digest of all bytes of the file or device.
[[nodiscard]] std::uint64_t digest_of(const std::filesystem::path& path);

}  // namespace ashlar::mount_test

// At the start of a test or of SetUp(): skips it, or under CI fails it, where the machine cannot run it.
#define ASHLAR_NEEDS_MOUNTING(loop)                                                     \
  if (const auto missing = ::ashlar::mount_test::missing_for_mounting(loop); missing) { \
    if (::ashlar::mount_test::skipping_is_failing()) FAIL() << *missing;                \
    GTEST_SKIP() << *missing;                                                           \
  }                                                                                     \
  static_assert(true, "a semicolon follows")
