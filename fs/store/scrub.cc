#include "fs/store/scrub.h"

#include <array>
#include <cstring>

#include "fs/store/store_state.h"

namespace ashlar::store {
namespace {

void add_findings(MetadataScrub& scrub, const CheckedCopies& checked, MetadataKind kind,
                  const std::array<std::uint64_t, format::kCopies>& offsets, InodeNumber first, InodeNumber last) {
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    if (checked.copy[copy]) continue;
    scrub.findings.push_back(
        {kind, offsets[copy], checked.copy[copy].error().code(), checked.healed, !checked.any_good(), first, last});
  }
}

}  // namespace

void Store::State::note_fixed(MetadataScrub& scrub, const CheckedCopies& checked, MetadataKind kind,
                              const std::array<std::uint64_t, format::kCopies>& offsets) {
  fixed_bad.fetch_add(checked.bad(), std::memory_order_relaxed);
  if (checked.healed) fixed_healed.fetch_add(1, std::memory_order_relaxed);
  add_findings(scrub, checked, kind, offsets, {}, {});
}

Status Store::State::scrub_superblock(blockio::IoQueue& io, MetadataScrub& scrub, bool heal) {
  blockio::AlignedBuffer first(format::kSuperblockSize);
  blockio::AlignedBuffer second(format::kSuperblockSize);
  if (first.empty() || second.empty()) return fail(ErrorCode::out_of_memory);
  const std::size_t slot = current.generation % format::kSuperblockSlots;
  const std::array<std::uint64_t, format::kCopies> offsets = {format::superblock_offset(slot, 0),
                                                              format::superblock_offset(slot, 1)};
  const auto verify = [this](std::span<const std::byte> bytes) -> Status {
    if (std::memcmp(bytes.data(), &current, sizeof current) == 0) return {};
    return fail(ErrorCode::bad_checksum);
  };
  const CheckedCopies checked = check_copies(io, offsets, first.span(), second.span(), verify, heal);
  scrub.bytes += format::kCopies * format::kSuperblockSize;
  note_fixed(scrub, checked, MetadataKind::superblock, offsets);
  return {};
}

std::uint64_t Store::scrub_units() const noexcept {
  const format::Layout& layout = state_->layout();
  return 1 + std::uint64_t{layout.group_table_blocks()} + layout.group_count();
}

Status Store::scrub_unit(blockio::IoQueue& io, std::uint64_t unit, MetadataScrub& scrub) {
  State& state = *state_;
  const CheckpointHold hold(state, io);
  // The volume grows with checkpoints only. Bitmaps have other numbers then: some may be looked at twice.
  const std::uint64_t table_blocks = state.layout().group_table_blocks();
  if (unit >= scrub_units()) return fail(ErrorCode::invalid_argument);
  const bool heal = state.check_writable().has_value();
  if (unit == 0) return state.scrub_superblock(io, scrub, heal);
  std::optional<CheckedBlock> block;
  const bool is_table = unit <= table_blocks;
  if (is_table) {
    block = TRY(state.allocator->check_table_block(io, static_cast<std::uint32_t>(unit - 1), heal));
  } else {
    block = TRY(state.allocator->check_bitmap(io, static_cast<std::uint32_t>(unit - 1 - table_blocks), heal));
  }
  if (!block) return {};
  scrub.bytes += format::kCopies * std::uint64_t{state.layout().block_size()};
  state.note_fixed(scrub, block->copies, is_table ? MetadataKind::group_table : MetadataKind::bitmap,
                   {state.layout().byte_offset(block->place[0]), state.layout().byte_offset(block->place[1])});
  return {};
}

Result<LeafScrub> Store::scrub_leaf(blockio::IoQueue& io, const format::Key& at, MetadataScrub& scrub) {
  State& state = *state_;
  LeafScrub leaf;
  leaf.image = blockio::AlignedBuffer(state.layout().node_size());
  blockio::AlignedBuffer second(state.layout().node_size());
  if (leaf.image.empty() || second.empty()) return fail(ErrorCode::out_of_memory);
  TreePath path;
  TRY(state.tree->find_path(io, at, path, leaf.image.span()));
  leaf.next = path.next;
  leaf.readable = path.leaf == TreePath::Leaf::copied;
  const InodeNumber last = path.next ? path.next->inode : InodeNumber{~0ULL};
  for (const format::NodePointer& pointer : path.nodes) {
    const CheckedCopies checked = state.nodes.check_copies(io, pointer, leaf.image.span(), second.span());
    scrub.bytes += format::kCopies * std::uint64_t{state.layout().node_size()};
    add_findings(scrub, checked, MetadataKind::node,
                 {state.layout().byte_offset(pointer.address[0]), state.layout().byte_offset(pointer.address[1])},
                 path.lowest.inode, last);
    leaf.readable = pointer.level == 0 && checked.any_good();
    if (!path.not_loaded || pointer != path.nodes.back() || !checked.any_good()) continue;
    // Sound by itself and not where it is: what lies below cannot be reached.
    if (*path.not_loaded == ErrorCode::out_of_memory) return fail(ErrorCode::out_of_memory);
    scrub.findings.push_back({MetadataKind::node, state.layout().byte_offset(pointer.address[0]), *path.not_loaded,
                              false, true, path.lowest.inode, last});
  }
  return leaf;
}

}  // namespace ashlar::store
