// What a write puts into consecutive file blocks: the caller's memory where it is fit for the device, copies where it
// is not.
#pragma once

#include <absl/container/inlined_vector.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "blockio/aligned_buffer.h"
#include "fs/base/result.h"
#include "fs/format/endian.h"

namespace ashlar::volume {

class BlockSource {
 public:
  // Holds the blocks that bytes [offset, offset + data.size()) of a file touch. `data` outlives the source. What of the
  // first and last block `data` does not cover is zero unless filled. out_of_memory.
  [[nodiscard]] Status assign(std::uint64_t offset, std::span<const std::byte> data, std::uint32_t block_size,
                              std::size_t memory_alignment);

  [[nodiscard]] std::uint64_t first_block() const noexcept { return first_block_; }
  [[nodiscard]] std::uint64_t block_count() const noexcept { return block_count_; }
  [[nodiscard]] std::uint64_t end_block() const noexcept { return first_block_ + block_count_; }

  // The first and the last block (they may be the same one) take those bytes of `old_block` that the data does not
  // cover.
  [[nodiscard]] bool head_is_partial() const noexcept { return head_gap_ != 0; }
  [[nodiscard]] bool tail_is_partial() const noexcept { return tail_gap_ != 0; }
  void fill_head(std::span<const std::byte> old_block) noexcept;
  void fill_tail(std::span<const std::byte> old_block) noexcept;

  // Memory of one block; segments of a run of blocks, appended (at most kMaxParts).
  [[nodiscard]] std::span<const std::byte> block(std::uint64_t file_block) const noexcept;
  static constexpr std::size_t kMaxParts = 3;
  using Segments = absl::InlinedVector<iovec, kMaxParts>;
  void append_segments(std::uint64_t file_block, std::uint64_t count, Segments& segments) const;

  // CRC32C of every block.
  static constexpr std::size_t kFewBlocks = 16;
  using Checksums = absl::InlinedVector<format::le32, kFewBlocks>;
  [[nodiscard]] Checksums checksums() const;

 private:
  struct Part {
    std::uint64_t first_block = 0;
    std::uint64_t count = 0;
    const std::byte* memory = nullptr;
  };
  void add_part(std::uint64_t count, const std::byte* memory);
  [[nodiscard]] std::byte* copy_of(std::uint64_t file_block) const noexcept;

  std::uint32_t block_size_ = 0;
  std::uint64_t first_block_ = 0;
  std::uint64_t block_count_ = 0;
  std::size_t head_gap_ = 0;  // bytes before the data in the first block
  std::size_t tail_gap_ = 0;  // bytes after it in the last
  std::array<Part, kMaxParts> parts_{};
  std::size_t part_count_ = 0;
  blockio::AlignedBuffer copies_;
};

}  // namespace ashlar::volume
