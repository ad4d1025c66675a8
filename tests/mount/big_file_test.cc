// A file larger than memory-sized counters and 32-bit offsets forgive.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

constexpr std::uint64_t kFileBytes = 5ULL << 30;
constexpr std::size_t kChunkBytes = 1U << 20;

class Checksum {
 public:
  Checksum() : state_(XXH3_createState(), XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void add(const std::vector<std::uint64_t>& chunk) {
    XXH3_64bits_update(state_.get(), chunk.data(), chunk.size() * sizeof chunk[0]);
  }
  [[nodiscard]] std::uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

// Data that differ at every offset, so that a block in a wrong place cannot go unnoticed.
void fill(std::vector<std::uint64_t>& chunk, std::uint64_t file_offset) {
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    chunk[i] = (file_offset + i * sizeof chunk[0]) * 0x9e37'79b9'7f4a'7c15ULL;
  }
}

class BigFileTest : public EverySetupTest {
 protected:
  [[nodiscard]] std::uint64_t volume_bytes() const override { return kFileBytes + (3ULL << 30); }
  [[nodiscard]] std::string file() { return (volume().root() / "big").string(); }

  void write_file(std::uint64_t& checksum) {
    const int fd = open(file().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ASSERT_GE(fd, 0);
    std::vector<std::uint64_t> chunk(kChunkBytes / sizeof(std::uint64_t));
    Checksum sum;
    for (std::uint64_t at = 0; at < kFileBytes; at += kChunkBytes) {
      fill(chunk, at);
      sum.add(chunk);
      ASSERT_EQ(write(fd, chunk.data(), kChunkBytes), static_cast<ssize_t>(kChunkBytes)) << "at " << at;
    }
    ASSERT_EQ(fsync(fd), 0);
    ASSERT_EQ(close(fd), 0);
    checksum = sum.value();
  }

  void read_file(std::uint64_t& checksum) {
    const int fd = open(file().c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    std::vector<std::uint64_t> chunk(kChunkBytes / sizeof(std::uint64_t));
    Checksum sum;
    for (std::uint64_t at = 0; at < kFileBytes; at += kChunkBytes) {
      ASSERT_EQ(read(fd, chunk.data(), kChunkBytes), static_cast<ssize_t>(kChunkBytes)) << "at " << at;
      sum.add(chunk);
    }
    ASSERT_EQ(read(fd, chunk.data(), kChunkBytes), 0) << "past the end";
    ASSERT_EQ(close(fd), 0);
    checksum = sum.value();
  }
};

TEST_P(BigFileTest, ReadsBackAsItWasWritten) {
  const std::uint64_t free_before = volume().free_blocks();
  std::uint64_t written = 0;
  std::uint64_t read_back = 0;
  ASSERT_NO_FATAL_FAILURE(write_file(written));
  struct stat attributes {};
  ASSERT_EQ(stat(file().c_str(), &attributes), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(attributes.st_size), kFileBytes);
  EXPECT_GE(static_cast<std::uint64_t>(attributes.st_blocks), kFileBytes / 512);

  ASSERT_NO_FATAL_FAILURE(remount(GetParam().engine));
  ASSERT_NO_FATAL_FAILURE(read_file(read_back));
  EXPECT_EQ(read_back, written);

  ASSERT_EQ(unlink(file().c_str()), 0);
  EXPECT_EQ(volume().settled_free_blocks(free_before), free_before);
}

INSTANTIATE_TEST_SUITE_P(Mount, BigFileTest, every_setup(), setup_name);

}  // namespace
}  // namespace ashlar::mount_test
