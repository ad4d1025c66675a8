// Looking at both copies of what a scrub asks for. No checkpoint runs meanwhile, so that the slots in use stay the same
// and nobody writes where a bad copy is rewritten.
#include "blockio/aligned_buffer.h"
#include "fs/format/checksum.h"
#include "fs/store/allocator/allocator_state.h"

namespace ashlar::store {

Result<CheckedBlock> GroupTable::check_block(blockio::IoQueue& io, std::uint32_t index, bool heal) const {
  const BlockState& state = blocks_[index];
  blockio::AlignedBuffer first(layout_.block_size());
  blockio::AlignedBuffer second(layout_.block_size());
  if (first.empty() || second.empty()) return fail(ErrorCode::out_of_memory);
  CheckedBlock block;
  std::array<std::uint64_t, format::kCopies> offsets{};
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    block.place[copy] = layout_.group_table_block(index, state.slot, copy);
    offsets[copy] = layout_.byte_offset(block.place[copy]);
  }
  const auto verify = [&](std::span<const std::byte> bytes) -> Status {
    Candidate candidate = examine(index, bytes, true);
    if (candidate.valid && candidate.crc != state.crc) return fail(ErrorCode::stale_block);
    return std::move(candidate.valid);
  };
  block.copies = check_copies(io, offsets, first.span(), second.span(), verify, heal && !read_only_);
  return block;
}

Result<CheckedBlock> Allocator::check_table_block(blockio::IoQueue& io, std::uint32_t index, bool heal) const {
  return state_->table.check_block(io, index, heal);
}

Result<std::optional<CheckedBlock>> Allocator::check_bitmap(blockio::IoQueue& io, std::uint32_t group,
                                                            bool heal) const {
  const State& state = *state_;
  const GroupRecord& record = state.table[group];
  if (!record.initialised) return std::nullopt;
  blockio::AlignedBuffer first(state.layout().block_size());
  blockio::AlignedBuffer second(state.layout().block_size());
  if (first.empty() || second.empty()) return fail(ErrorCode::out_of_memory);
  CheckedBlock block;
  std::array<std::uint64_t, format::kCopies> offsets{};
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    block.place[copy] = state.layout().bitmap_block(group, record.slot, copy);
    offsets[copy] = state.layout().byte_offset(block.place[copy]);
  }
  const auto verify = [&](std::span<const std::byte> bytes) -> Status {
    if (format::crc32c(bytes) != record.bitmap_crc) return fail(ErrorCode::bad_checksum);
    return {};
  };
  block.copies = check_copies(io, offsets, first.span(), second.span(), verify, heal && !state.read_only);
  return block;
}

}  // namespace ashlar::store
