// What is done to the volume as a whole while it is in use: discarding free blocks, changing the label.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "fs/base/log.h"
#include "fs/store/store_state.h"
#include "fs/store/superblock_io.h"

namespace ashlar::store {
namespace {

// What is being discarded cannot be allocated meanwhile, so it is never more than this, nor than this part of what is
// free.
constexpr std::uint64_t kMaxDiscardBytes = 64ULL << 20;
constexpr std::uint64_t kDiscardPart = 4;
// Places, and about the time, between two looks whether a sync or a checkpoint is due.
constexpr int kDiscardsAtOnce = 16;
constexpr std::chrono::milliseconds kDiscardsFor{100};

// What the device discards at least, in blocks.
std::uint64_t discard_unit(std::uint64_t granularity, const format::Layout& layout) {
  return std::max<std::uint64_t>(1, (granularity + layout.block_size() - 1) / layout.block_size());
}

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

Result<std::uint64_t> Store::State::discard_free(blockio::IoQueue& io, BlockRun within, std::uint64_t minimum) {
  std::uint64_t discarded = 0;
  for (BlockNumber from = within.first; from < within.end();) {
    TRY(check_writable());
    const std::scoped_lock one(discard_lock);
    const SetAside set_aside(discards);
    const std::uint64_t most = std::min(kMaxDiscardBytes / layout().block_size(), allocator->free_now() / kDiscardPart);
    if (most < minimum) break;
    const BlockRun run = TRY(allocator->take_free(io, BlockRun{from, within.end() - from}, minimum, most));
    if (run.count == 0) break;
    blockio::IoOp discard = blockio::IoOp::discard(layout().byte_offset(run.first), run.count * layout().block_size());
    Status told = io.run(discard);
    allocator->cancel(run);
    TRY(std::move(told));
    discarded += run.count;
    discarded_blocks.fetch_add(run.count, std::memory_order_relaxed);
    from = run.end();
  }
  return discarded;
}

Result<std::uint64_t> Store::trim(blockio::IoQueue& io, BlockRun within, std::uint64_t minimum) {
  State& state = *state_;
  if (state.device.geometry().discard_granularity == 0) {
    return fail(ErrorCode::not_supported, "the device cannot discard");
  }
  if (minimum > kMaxDiscardBytes / state.layout().block_size()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("free space is discarded in runs of at most {} MiB", kMaxDiscardBytes >> 20));
  }
  TRY(state.check_writable());
  // What was freed is free for the device, too, only after a checkpoint. One is enough for a pass over the volume.
  if (within.first == BlockNumber{0} && state.allocator->waiting() != 0) TRY(state.checkpoint(io, false));
  const BlockNumber end = std::min(within.end(), BlockNumber{state.layout().block_count()});
  return within.first < end ? state.discard_free(io, BlockRun{within.first, end - within.first}, minimum)
                            : Result<std::uint64_t>(0);
}

void Store::State::begin_online_discard() {
  const std::uint64_t granularity = device.geometry().discard_granularity;
  if (granularity == 0) {
    ashlar::log(LogLevel::warning, "{}: option discard is off: the device cannot discard", device.name());
    return;
  }
  if (granularity > kMaxDiscardBytes) {
    ashlar::log(LogLevel::warning,
                "{}: option discard is off: the device discards {} bytes at least, which is too much", device.name(),
                granularity);
    return;
  }
  online_discard = std::make_unique<DiscardList>(discard_unit(granularity, layout()));
}

bool Store::State::discards_online() const {
  return online_discard && !online_discard_failed.load(std::memory_order_relaxed);
}

bool Store::discard_freed(blockio::IoQueue& io) { return state_->discard_freed(io); }

bool Store::State::discard_freed(blockio::IoQueue& io) {
  if (!discards_online()) return false;
  const std::uint64_t unit = discard_unit(device.geometry().discard_granularity, layout());
  const auto enough = std::chrono::steady_clock::now() + kDiscardsFor;
  for (int places = 0; places < kDiscardsAtOnce; ++places) {
    if (places != 0 && std::chrono::steady_clock::now() >= enough) break;
    const std::optional<BlockRun> place = online_discard->next(kMaxDiscardBytes / layout().block_size());
    if (!place || stopped.load(std::memory_order_acquire)) return false;
    const Result<std::uint64_t> told = discard_free(io, *place, unit);
    if (told) continue;
    online_discard_failed.store(true, std::memory_order_relaxed);
    online_discard->clear();
    ashlar::log(LogLevel::warning, "{}: option discard is off from now on: {}", device.name(), told.error().message());
    return false;
  }
  return true;
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
