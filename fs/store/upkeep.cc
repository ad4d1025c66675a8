// What is done to the volume as a whole while it is in use: discarding free blocks, changing the label.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "fs/store/store_state.h"
#include "fs/store/superblock_io.h"

namespace ashlar::store {
namespace {

// What is being discarded cannot be allocated meanwhile, so it is never more than this, nor than this part of what is
// free.
constexpr std::uint64_t kMaxDiscardBytes = 64ULL << 20;
constexpr std::uint64_t kDiscardPart = 4;

// Lives while blocks are kept from those who want to allocate, so that they know to wait.
class SetAside {
 public:
  explicit SetAside(std::atomic<std::uint64_t>& discards) noexcept : discards_(discards) { ++discards_; }
  ~SetAside() {
    ++discards_;
    discards_.notify_all();
  }
  SetAside(const SetAside&) = delete;
  SetAside& operator=(const SetAside&) = delete;

 private:
  std::atomic<std::uint64_t>& discards_;
};

}  // namespace

Result<std::uint64_t> Store::trim(blockio::IoQueue& io, BlockRun within, std::uint64_t minimum) {
  State& state = *state_;
  if (state.device.geometry().discard_granularity == 0) {
    return fail(ErrorCode::not_supported, "the device cannot discard");
  }
  TRY(state.check_writable());
  // What was freed is free for the device, too, only after a checkpoint. One is enough for a pass over the volume.
  if (within.first == BlockNumber{0} && state.allocator->waiting() != 0) TRY(state.checkpoint(io, false));
  const BlockNumber end = std::min(within.end(), BlockNumber{state.layout().block_count()});
  std::uint64_t trimmed = 0;
  for (BlockNumber from = within.first; from < end;) {
    TRY(state.check_writable());
    const std::scoped_lock one(state.discard_lock);
    const SetAside set_aside(state.discards);
    const std::uint64_t most =
        std::min(kMaxDiscardBytes / state.layout().block_size(), state.allocator->free_now() / kDiscardPart);
    if (most < minimum) break;
    const BlockRun run = TRY(state.allocator->take_free(io, BlockRun{from, end - from}, minimum, most));
    if (run.count == 0) break;
    blockio::IoOp discard =
        blockio::IoOp::discard(state.layout().byte_offset(run.first), run.count * state.layout().block_size());
    Status told = io.run(discard);
    state.allocator->cancel(run);
    TRY(std::move(told));
    trimmed += run.count;
    from = run.end();
  }
  return trimmed;
}

std::string Store::label() const {
  const std::scoped_lock lock(state_->label_lock);
  return state_->label;
}

Status Store::set_label(blockio::IoQueue& io, std::string_view label) {
  if (label.size() > format::kLabelSize || label.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument, "a label has at most 64 bytes");
  }
  const CheckpointHold hold(*state_, io);
  TRY(state_->check_writable());
  format::Superblock changed = state_->current;
  std::fill(std::begin(changed.label), std::end(changed.label), '\0');
  std::copy(label.begin(), label.end(), std::begin(changed.label));
  Status written = rewrite_superblock(io, changed);
  // A durable write that fails may lose what others wrote before it.
  if (!written) {
    state_->note_failure(fmt::format("writing the label failed: {}", written.error().message()));
    return written;
  }
  state_->current = changed;
  const std::scoped_lock lock(state_->label_lock);
  state_->label = label;
  return {};
}

}  // namespace ashlar::store
