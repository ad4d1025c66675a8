// The group table: where each group's current bitmap is and what must be in it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/layout.h"
#include "fs/store/allocator/allocator.h"

namespace ashlar::store {

// What the table says of a group. Plain integers of a validated format::GroupEntry.
struct GroupRecord {
  Generation generation;  // that wrote the bitmap
  std::uint32_t bitmap_crc = 0;
  std::uint32_t free_blocks = 0;
  bool initialised = false;  // otherwise no bitmap was ever written
  std::uint8_t slot = 0;     // of the current bitmap

  friend bool operator==(const GroupRecord&, const GroupRecord&) noexcept = default;
};

// Not thread-safe: records change in adopt_staged() alone, which the owner guards against readers of other threads.
class GroupTable {
 public:
  // Reads both slots and both copies of every block, chooses as format/layout.h says, proves the choice against the
  // superblock and, unless read_only, rewrites bad copies. bad_checksum, stale_block or corrupt_structure when the
  // table cannot be trusted.
  [[nodiscard]] static Result<GroupTable> read(blockio::IoQueue& io, const format::Superblock& superblock,
                                               bool read_only);

  [[nodiscard]] const GroupRecord& operator[](std::uint32_t group) const noexcept { return records_[group]; }
  [[nodiscard]] std::uint64_t free_blocks() const noexcept { return free_blocks_; }  // in all groups
  [[nodiscard]] std::uint64_t healed() const noexcept { return healed_; }            // copies rewritten by read()

  // Both copies of a block as they are on the device. No checkpoint may run meanwhile.
  [[nodiscard]] Result<CheckedBlock> check_block(blockio::IoQueue& io, std::uint32_t index, bool heal) const;

  // The next generation has the groups of `layout`, those that are new without a bitmap, and its table lies as there.
  void stage_growth(const format::Layout& layout);
  // What the next generation will say of `group`; at most once a group.
  void stage(std::uint32_t group, const GroupRecord& record);
  // Free blocks with what is staged.
  [[nodiscard]] std::uint64_t staged_free_blocks() const noexcept { return staged_free_blocks_; }
  // Writes the blocks that changed into their inactive slots, both copies, no flush. Returns the checksum of the table
  // as the superblock of `generation` must hold it.
  [[nodiscard]] Result<std::uint32_t> write_staged(blockio::IoQueue& io, Generation generation);
  // The superblock of that generation is durable.
  void adopt_staged();

 private:
  struct BlockState {
    std::uint32_t crc = 0;
    std::uint8_t slot = 0;
    // The inactive slot holds, or may hold, a block of a checkpoint that never became durable. The next generation must
    // write over it, or it would be taken for its own.
    bool overwrite = false;
  };
  struct StagedBlock {
    std::uint32_t index;
    BlockState state;
  };
  struct BadCopy {
    std::uint32_t index;
    std::uint8_t copy;
  };
  // One slot's copy of a block, as read.
  struct Candidate {
    std::span<const std::byte> block;
    bool readable = false;
    Status valid;
    Generation generation;
    std::uint32_t crc = 0;
  };

  GroupTable(const format::Superblock& superblock, bool read_only);

  [[nodiscard]] Status read_blocks(blockio::IoQueue& io);
  [[nodiscard]] Status choose(std::uint32_t index, std::span<const Candidate> candidates, std::vector<BadCopy>& bad);
  [[nodiscard]] Status load_records(std::uint32_t index, std::span<const std::byte> block);
  [[nodiscard]] Status check_against_superblock() const;
  [[nodiscard]] Candidate examine(std::uint32_t index, std::span<const std::byte> block, bool readable) const;
  void heal(blockio::IoQueue& io, std::span<const BadCopy> bad);
  [[nodiscard]] Status heal_copy(blockio::IoQueue& io, const BadCopy& bad);

  [[nodiscard]] const format::Layout& layout_to_come() const noexcept { return growth_ ? *growth_ : layout_; }
  // The next generation's blocks lie elsewhere, all of them.
  [[nodiscard]] bool moves() const noexcept {
    return growth_ && growth_->group_table_blocks() != layout_.group_table_blocks();
  }
  [[nodiscard]] std::vector<std::uint32_t> blocks_to_write() const;
  void build(std::uint32_t index, Generation generation, std::span<std::byte> block) const;
  [[nodiscard]] Status write_batch(blockio::IoQueue& io, std::span<const StagedBlock> batch,
                                   std::span<const std::byte> images) const;
  [[nodiscard]] Status erase_unused_slots(blockio::IoQueue& io, std::span<std::byte> zeros) const;
  [[nodiscard]] std::uint32_t crc_with_staged() const;

  format::Layout layout_;
  std::uint8_t uuid_[16];
  Generation generation_;  // of the superblock it was read for
  std::uint64_t expected_free_;
  std::uint32_t expected_crc_;
  bool read_only_;

  std::vector<GroupRecord> records_;  // by group
  std::vector<BlockState> blocks_;    // by index of table block
  std::uint64_t free_blocks_ = 0;
  std::uint64_t healed_ = 0;

  struct StagedRecord {
    std::uint32_t group;
    GroupRecord record;
  };
  std::vector<StagedRecord> staged_;  // by group once write_staged() began
  std::vector<StagedBlock> staged_blocks_;
  std::uint64_t staged_free_blocks_ = 0;
  std::optional<format::Layout> growth_;  // with which the next generation is written
};

}  // namespace ashlar::store
