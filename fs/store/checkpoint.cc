// Checkpoints: the state of one moment written to its place, then the superblock that makes it the volume's.
#include <fmt/core.h>

#include <array>
#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fs/base/log.h"
#include "fs/base/seeded_bug.h"
#include "fs/store/store_state.h"
#include "fs/store/superblock_io.h"

namespace ashlar::store {
namespace {

// Writes nodes in batches: the tree hands them over one by one, the device wants many at once.
class CheckpointSink final : public NodeSink {
 public:
  static constexpr std::size_t kBatchNodes = 64;

  CheckpointSink(Store::State& state, blockio::IoQueue& io)
      : state_(state), io_(io), buffer_(kBatchNodes * state.layout().node_size()) {}

  [[nodiscard]] bool has_memory() const { return !buffer_.empty(); }

  Result<format::NodePointer> place(std::uint8_t level) override {
    const NodePlace place = TRY(state_.pool->take());
    format::NodePointer pointer;
    pointer.level = level;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      pointer.address[copy] = place.address[copy];
      TRY(state_.allocator->commit_node_allocate(io_, BlockRun{place.address[copy], state_.layout().node_blocks()}));
    }
    state_.placed_nodes.fetch_add(1, std::memory_order_relaxed);
    state_.placing_nodes.fetch_add(1, std::memory_order_relaxed);
    return pointer;
  }

  Status write(const format::NodePointer& pointer, std::span<const std::byte> image) override {
    if (pending_ == kBatchNodes) TRY(flush_batch());
    const std::span<std::byte> slot = buffer_.span().subspan(pending_ * image.size(), image.size());
    std::memcpy(slot.data(), image.data(), image.size());
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      ops_[pending_ * format::kCopies + copy] =
          blockio::IoOp::write(state_.layout().byte_offset(pointer.address[copy]), slot);
    }
    ++pending_;
    state_.nodes_written.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  Status flush_batch() {
    std::array<blockio::IoOp*, kBatchNodes * format::kCopies> pointers{};
    const std::size_t count = pending_ * format::kCopies;
    for (std::size_t i = 0; i < count; ++i) pointers[i] = &ops_[i];
    pending_ = 0;
    return io_.run(std::span(pointers).first(count));
  }

 private:
  Store::State& state_;
  blockio::IoQueue& io_;
  blockio::AlignedBuffer buffer_;
  std::array<blockio::IoOp, kBatchNodes * format::kCopies> ops_;
  std::size_t pending_ = 0;
};

}  // namespace

Status Store::State::checkpoint(blockio::IoQueue& io, bool clean, std::optional<std::uint64_t> unless_past,
                                Growth* growth) {
  const CheckpointHold hold(*this, io);
  TRY(check_writable());
  if (unless_past && checkpoints.load() > *unless_past) return {};
  Status written = write_checkpoint(io, clean, growth);
  if (!written) note_failure(fmt::format("checkpoint failed: {}", written.error().message()));
  return written;
}

Status Store::State::write_checkpoint(blockio::IoQueue& io, bool clean, Growth* growth) {
  LogPosition log_start;
  Generation generation;
  TreeTotals totals;
  std::uint64_t frozen_next_inode = 0;
  {
    const std::scoped_lock lock(commit_lock);
    log_start = log->seal();
    generation = tree->freeze();
    if (growth != nullptr) allocator->begin_growth(*growth);
    allocator->freeze(generation);
    totals = tree->frozen_totals();
    frozen_next_inode = next_inode.load();
  }

  CheckpointSink sink(*this, io);
  if (!sink.has_memory()) return fail(ErrorCode::out_of_memory);
  std::vector<format::NodePointer> replaced;
  const format::NodePointer root = TRY(tree->write_frozen(sink, replaced));
  if (!has_bug(SeededBug::superblock_before_nodes)) TRY(sink.flush_batch());
  TRY(free_replaced_nodes(io, replaced));
  const FrozenTotals blocks = TRY(allocator->write_frozen(io));
  TRY(write_behind->drain(io));
  // Everything the superblock will speak of, data included, must be on the medium before it.
  blockio::IoOp flush = blockio::IoOp::flush();
  if (!has_bug(SeededBug::checkpoint_not_flushed)) TRY(io.run(flush));
  // Somebody else's flush that failed may have lost what this one should have found.
  TRY(check_writable());

  format::Superblock next = current;
  next.generation = generation.value();
  next.flags = (current.flags & ~format::kCleanlyUnmounted) | (clean ? format::kCleanlyUnmounted : 0U);
  next.root = format::store(root);
  next.node_count = totals.nodes;
  for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) next.item_count[kind] = totals.items[kind];
  if (growth != nullptr) growth->layout.describe_in(next);
  next.free_blocks = blocks.free_blocks;
  next.group_table_crc = blocks.group_table_crc;
  next.next_inode = frozen_next_inode;
  next.log_epoch = log_start.epoch;
  next.log_start = log_start.start.value();
  next.log_start_chain = log_start.chain;
  next.written_time = now_seconds();
  const ErrorCounts errors = errors_since_mkfs();
  next.metadata_errors = errors.metadata;
  next.metadata_healed = errors.metadata_healed;
  next.data_errors = errors.data;
  if (nodes.nodes_lost() != 0 || log_was_damaged) next.flags = next.flags | format::kHasErrors;
  TRY(write_superblock(io, next));
  errors_recorded.store(errors.metadata + errors.metadata_healed + errors.data - mounted.metadata_errors -
                        mounted.metadata_healed - mounted.data_errors);
  if (has_bug(SeededBug::superblock_before_nodes)) TRY(sink.flush_batch());
  current = next;
  if (growth != nullptr) layouts.replace(growth->layout);  // before anybody is given what it has gained

  {
    // commits weigh dirty nodes against places: both figures change at once
    const std::scoped_lock lock(commit_lock);
    tree->finish_frozen();
    placing_nodes.store(0);
  }
  allocator->finish_frozen();
  log->advance_tail(log_start.start);
  durable_generation.store(generation.value());
  reclaim.wait_for_readers();
  std::vector<BlockRun> released;
  allocator->release_freed(generation, discards_online() ? &released : nullptr);
  if (!released.empty()) online_discard->add(released, layout().block_count());
  checkpoints.fetch_add(1);
  tree->evict();
  return {};
}

Status Store::State::free_replaced_nodes(blockio::IoQueue& io, std::span<const format::NodePointer> freed) {
  for (const format::NodePointer& pointer : freed) {
    for (const BlockNumber address : pointer.address) {
      TRY(allocator->commit_node_free(io, BlockRun{address, layout().node_blocks()}));
    }
  }
  placed_nodes.fetch_sub(freed.size());
  return {};
}

Status Store::checkpoint(blockio::IoQueue& io) { return state_->checkpoint(io, false); }

}  // namespace ashlar::store
