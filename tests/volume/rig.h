// A volume on a device in memory, without FUSE above it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "blockio/memory_device.h"
#include "fs/volume/volume.h"
#include "tests/volume/pattern.h"

namespace ashlar::volume::testing {

struct Geometry {
  std::uint64_t bytes = 64ULL << 20;
  std::uint32_t block_size = 4096;
  std::uint32_t node_size = 4096;
  std::uint64_t spare = 0;  // bytes that the device has behind the volume
};

inline constexpr Geometry kSmallNodes{64ULL << 20, 512, 2048};
inline constexpr Geometry kMiddleNodes{64ULL << 20, 4096, 4096};
inline constexpr Geometry kLargeNodes{64ULL << 20, 4096, 16384};

struct Listed {
  std::string name;
  std::uint64_t inode = 0;
  std::uint8_t type = 0;
  std::uint64_t position = 0;
};

// Owned by one thread; others make a Context of their own with new_queue().
class Rig {
 public:
  explicit Rig(const Geometry& geometry = kMiddleNodes, VolumeOptions options = quiet_options());

  // Without the store's and the reaper's threads.
  static VolumeOptions quiet_options();

  void mount();
  // Whether the volume let itself be mounted.
  [[nodiscard]] bool try_mount();
  void unmount();
  // The process dies: what was not synced may be gone.
  void crash();
  void remount() {
    unmount();
    mount();
  }

  [[nodiscard]] Volume& volume() { return *volume_; }
  [[nodiscard]] Context& context() { return context_; }
  [[nodiscard]] blockio::IoQueue& io() { return *io_; }
  [[nodiscard]] blockio::MemoryDevice& device() { return device_; }
  [[nodiscard]] std::unique_ptr<blockio::IoQueue> new_queue();
  [[nodiscard]] std::uint32_t block_size() const { return geometry_.block_size; }

  // Of what the operation returned: ErrorCode of the failure, or nothing.
  // Shorthands that must succeed. They drop the reference that the result counts, unless the name says that it is held.
  InodeNumber make_file(InodeNumber parent, std::string_view name, std::uint32_t permissions = 0644);
  InodeNumber make_directory(InodeNumber parent, std::string_view name, std::uint32_t permissions = 0755);
  InodeNumber hold(InodeNumber parent, std::string_view name);
  InodeNumber find(InodeNumber parent, std::string_view name);
  void forget(InodeNumber inode) { volume_->forget(*io_, inode, 1); }
  void write(InodeNumber inode, std::uint64_t offset, std::string_view data);
  void truncate(InodeNumber inode, std::uint64_t size);
  [[nodiscard]] std::string read(InodeNumber inode, std::uint64_t offset, std::size_t length);
  [[nodiscard]] Result<std::string> try_read(InodeNumber inode, std::uint64_t offset, std::size_t length);
  [[nodiscard]] Attributes stat(InodeNumber inode);
  [[nodiscard]] std::vector<Listed> list(InodeNumber directory);
  [[nodiscard]] std::vector<std::string> names(InodeNumber directory);  // sorted, without . and ..
  // Blocks free once everything freed is reusable.
  [[nodiscard]] std::uint64_t free_blocks();

  // Every inode, name, extent and count agrees with every other.
  void check();

 private:
  Geometry geometry_;
  VolumeOptions options_;
  blockio::MemoryDevice device_;
  std::unique_ptr<blockio::IoQueue> io_;
  Context context_;
  std::unique_ptr<Volume> volume_;
};

// The error of a Result or Status; success is `std::nullopt`.
template <typename Outcome>
[[nodiscard]] std::optional<ErrorCode> error_of(const Outcome& outcome) {
  if (outcome) return std::nullopt;
  return outcome.error().code();
}

// Says where two long strings differ, without printing them.
[[nodiscard]] ::testing::AssertionResult same(std::string_view actual, std::string_view expected);

}  // namespace ashlar::volume::testing
