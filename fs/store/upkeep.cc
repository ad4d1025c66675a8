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
// Places, and about the time, between two looks whether a sync or a checkpoint is due. A discard that has begun is
// waited for.
constexpr int kDiscardsAtOnce = 16;
constexpr std::chrono::milliseconds kDiscardsFor{100};

// What the device discards at least, in blocks.
std::uint64_t discard_unit(std::uint64_t granularity, const format::Layout& layout) {
  return std::max<std::uint64_t>(1, (granularity + layout.block_size() - 1) / layout.block_size());
}

}  // namespace

Result<std::uint64_t> Store::State::discard_free(blockio::IoQueue& io, BlockRun& within, std::uint64_t minimum,
                                                 std::chrono::steady_clock::time_point until) {
  std::uint64_t discarded = 0;
  while (within.count != 0) {
    TRY(check_writable());
    const std::scoped_lock set_aside(discard_lock);
    const std::uint64_t most = std::min(kMaxDiscardBytes / layout().block_size(), allocator->free_now() / kDiscardPart);
    if (most < minimum) break;
    const BlockRun run = TRY(allocator->take_free(io, within, minimum, most));
    if (run.count == 0) {
      within = {};
      break;
    }
    blockio::IoOp discard = blockio::IoOp::discard(layout().byte_offset(run.first), run.count * layout().block_size());
    Status told = io.run(discard);
    allocator->cancel(run);
    TRY(std::move(told));
    discarded += run.count;
    discarded_blocks.fetch_add(run.count, std::memory_order_relaxed);
    within = {run.end(), within.end() - run.end()};
    if (std::chrono::steady_clock::now() >= until) break;
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
  if (within.first >= end) return 0;
  within.count = end - within.first;
  return state.discard_free(io, within, minimum, std::chrono::steady_clock::time_point::max());
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
    std::optional<BlockRun> place = online_discard->next(kMaxDiscardBytes / layout().block_size());
    if (!place || stopped.load(std::memory_order_acquire)) return false;
    const Result<std::uint64_t> told = discard_free(io, *place, unit, enough);
    if (told) {
      if (place->count == 0) continue;
      online_discard->put_back(*place);
      if (*told == 0) return false;  // so little is free that this one waits
      continue;
    }
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
