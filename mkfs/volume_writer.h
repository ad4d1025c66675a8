// Writes the parts of a new volume in batches of large writes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/layout.h"
#include "mkfs/initial_state.h"

namespace ashlar::mkfs {

// `io` outlives it. One thread.
class VolumeWriter {
 public:
  VolumeWriter(blockio::IoQueue& io, const format::Layout& layout) : io_(io), layout_(layout) {}

  // All superblocks' places.
  [[nodiscard]] Status erase_heads();
  // What else must not be what it was: the inactive group table, the log's start.
  [[nodiscard]] Status erase_stale_parts();

  // The same bytes to all places.
  [[nodiscard]] Status write_copies(std::span<const std::byte> bytes, std::span<const std::uint64_t> offsets);

  // Both copies of the bitmaps of `touched`; their entries in the same order.
  [[nodiscard]] Result<std::vector<format::GroupEntry>> write_bitmaps(std::span<const TouchedGroup> touched);

  // Both copies of the group table in the slot of kFirstGeneration; returns Superblock::group_table_crc.
  [[nodiscard]] Result<std::uint32_t> write_group_table(const std::uint8_t (&uuid)[16],
                                                        std::span<const TouchedGroup> touched,
                                                        std::span<const format::GroupEntry> entries);

  [[nodiscard]] Status flush();

 private:
  struct ByteRun {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  [[nodiscard]] Status write_zeros(std::span<const ByteRun> runs);
  void fill_table_block(std::span<std::byte> block, std::uint32_t index, const std::uint8_t (&uuid)[16],
                        std::span<const TouchedGroup> touched, std::span<const format::GroupEntry> entries) const;

  blockio::IoQueue& io_;
  const format::Layout& layout_;
};

}  // namespace ashlar::mkfs
