// A volume in memory whose blocks are handed out and taken back, with checkpoints as the store makes them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "blockio/memory_device.h"
#include "fs/format/layout.h"
#include "fs/store/allocator/allocator.h"

namespace ashlar::store {

struct VolumeShape {
  std::uint64_t bytes = 64U << 20;
  std::uint32_t block_size = 512;  // 32 groups of 4096 blocks in three group table blocks
  std::uint32_t node_size = 1024;
};

class AllocatorFixture : public ::testing::Test {
 protected:
  // Formats a volume and opens its allocator.
  void make(const VolumeShape& shape = {});
  // As after a crash: everything since the last checkpoint is forgotten.
  void reopen(bool read_only = false);
  [[nodiscard]] Result<std::unique_ptr<Allocator>> try_open(bool read_only = false);

  // The steps of a checkpoint. begin_checkpoint() returns the generation; finish takes what write_frozen() returned.
  Generation begin_checkpoint();
  void finish_checkpoint(const FrozenTotals& totals);
  void checkpoint();

  [[nodiscard]] std::optional<BlockRun> allocate(const AllocationRequest& request);
  [[nodiscard]] std::optional<BlockRun> allocate(std::uint64_t minimum, std::uint64_t maximum,
                                                 BlockNumber goal = BlockNumber{0});
  // allocate() and commit_allocate().
  [[nodiscard]] BlockRun occupy(std::uint64_t count, BlockNumber goal = BlockNumber{0});
  void commit_allocate(BlockRun run);
  void commit_free(BlockRun run);

  // The bitmap that the volume as of the last checkpoint has for `group`, straight from the device.
  [[nodiscard]] std::vector<bool> bitmap_on_device(std::uint32_t group, std::size_t copy = 0);
  [[nodiscard]] format::GroupEntry entry_on_device(std::uint32_t group);
  // Byte offset of the current slot's group table block, by generation, as open() must find it.
  [[nodiscard]] std::uint64_t table_block_offset(std::uint32_t index, std::size_t copy);

  [[nodiscard]] std::vector<std::byte> peek(std::uint64_t offset, std::size_t size) const;
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  void flip_bit(std::uint64_t offset);

  std::unique_ptr<blockio::MemoryDevice> device_;
  std::unique_ptr<blockio::IoQueue> io_;
  format::Superblock superblock_{};
  std::optional<format::Layout> layout_;
  std::unique_ptr<Allocator> allocator_;
  std::mt19937_64 random_{42};

 private:
  Generation running_;
};

}  // namespace ashlar::store
