#include "fs/store/store.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "fs/base/log.h"
#include "fs/base/seeded_bug.h"
#include "fs/store/store_state.h"
#include "fs/store/superblock_io.h"

namespace ashlar::store {
namespace {

// Times that close() goes on telling the device what is free, and for how long on a slow one: whoever unmounts does not
// wait for ever.
constexpr int kDiscardsAtClose = 256;
constexpr std::chrono::seconds kDiscardsAtCloseFor{30};
// Freed bytes that get a checkpoint at the next turn of the background thread where the device is told of them.
constexpr std::uint64_t kDiscardWorthACheckpoint = 64ULL << 20;

}  // namespace

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}

Store::~Store() {
  state_->stopped.store(true, std::memory_order_release);
  state_->stop_background();
}

const format::Layout& Store::layout() const noexcept { return state_->layout(); }
const format::Superblock& Store::superblock() const noexcept { return state_->mounted; }
bool Store::read_only() const noexcept {
  return state_->options.read_only || state_->stopped.load(std::memory_order_acquire);
}

Result<bool> Store::get(blockio::IoQueue& io, const format::Key& key, ItemValue& value) {
  const Reclaim::Guard guard(state_->reclaim);
  return state_->tree->get(io, key, value);
}

Result<bool> Store::floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& highest,
                          format::Key& found, ItemValue& value) {
  const Reclaim::Guard guard(state_->reclaim);
  return state_->tree->floor(io, lowest, highest, found, value);
}

Status Store::scan(blockio::IoQueue& io, const format::Key& first, const format::Key& last, const ItemVisitor& visit) {
  const Reclaim::Guard guard(state_->reclaim);
  return state_->tree->scan(io, first, last, visit);
}

Status Store::scan_from_floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& first,
                              const format::Key& last, const ItemVisitor& visit) {
  const Reclaim::Guard guard(state_->reclaim);
  return state_->tree->scan_from_floor(io, lowest, first, last, visit);
}

Reclaim::Guard Store::read_guard() noexcept { return Reclaim::Guard(state_->reclaim); }

Status Store::State::sync(blockio::IoQueue& io, Lsn upto) {
  if (options.read_only) return {};
  if (stopped.load(std::memory_order_acquire)) return fail(ErrorCode::shut_down);
  if (has_bug(SeededBug::sync_without_write)) return {};
  Status synced = log->sync(io, upto);
  if (!synced) fail_for_good(io, fmt::format("log write failed: {}", synced.error().message()));
  return synced;
}

Status Store::sync(blockio::IoQueue& io, Lsn upto) {
  state_->syncs.fetch_add(1, std::memory_order_relaxed);
  return state_->sync(io, upto);
}

Status Store::sync(blockio::IoQueue& io) { return state_->log ? sync(io, state_->log->end()) : Status{}; }

Status Store::flush_device(blockio::IoQueue& io) {
  TRY(state_->check_writable());
  blockio::IoOp flush = blockio::IoOp::flush();
  Status flushed = io.run(flush);
  // What the device lost with a failed flush nobody knows, so nothing later may claim to be durable.
  if (!flushed) state_->fail_for_good(io, fmt::format("flush failed: {}", flushed.error().message()));
  return flushed;
}

Status Store::close(blockio::IoQueue& io) {
  state_->stop_background();
  if (state_->options.read_only || state_->closed) return {};
  Status closed = state_->checkpoint(io, true);
  if (closed) {
    const auto enough = std::chrono::steady_clock::now() + kDiscardsAtCloseFor;
    for (int times = 0; times < kDiscardsAtClose && state_->discard_freed(io); ++times) {
      if (std::chrono::steady_clock::now() >= enough) break;
    }
    // The device may be somebody else's soon.
    state_->closed = true;
    state_->stopped.store(true, std::memory_order_release);
    state_->refuse_writes();
  }
  if (const auto claim = std::move(state_->host_claim); claim) {
    Status released = claim->release(io);
    if (closed) return released;
  }
  return closed;
}

void Store::shut_down(std::string reason) { static_cast<void>(state_->stop(std::move(reason))); }

bool Store::State::stop(std::string reason) {
  {
    const std::scoped_lock lock(failure_lock);
    if (stopped.exchange(true, std::memory_order_acq_rel)) return false;
    failure = std::move(reason);
    ashlar::log(LogLevel::error, "{}: {}; the volume is read-only now: unmount and check it", device.name(), failure);
  }
  refuse_writes();
  return true;
}

void Store::State::refuse_writes() {
  nodes.stop_healing();
  if (log) log->fail_permanently();
}

void Store::State::lose(std::string reason) {
  if (stop(std::move(reason)) && options.on_failure) options.on_failure();
}

void Store::State::note_failure(std::string reason) {
  if (!stop(std::move(reason))) return;
  const std::scoped_lock lock(failure_lock);
  report_due = true;
}

// Whoever finds checkpoint_lock taken has set report_due before; its holder looks at that after it has let go.
void Store::State::report_failure(blockio::IoQueue& io) {
  const auto is_due = [this] {
    const std::scoped_lock lock(failure_lock);
    return report_due;
  };
  if (!is_due()) return;
  {
    const std::unique_lock held(checkpoint_lock, std::try_to_lock);
    if (!held) return;
    {
      const std::scoped_lock lock(failure_lock);
      if (!std::exchange(report_due, false)) return;
    }
    mark_failed(io);
  }
  if (options.on_failure) options.on_failure();
}

void Store::State::fail_for_good(blockio::IoQueue& io, std::string reason) {
  note_failure(std::move(reason));
  report_failure(io);
}

void Store::State::mark_failed(blockio::IoQueue& io) {
  std::string reason;
  {
    const std::scoped_lock lock(failure_lock);
    reason = failure;
  }
  format::note_failure(current, now_seconds(), reason);
  Status written = rewrite_superblock(io, current);
  // A checkpoint that failed at its very end may have left its own superblock, which a mount would prefer. All that it
  // refers to is on the medium.
  if (Result<format::Superblock> newest = read_superblock(device.geometry(), io, true);
      newest && newest->generation > current.generation) {
    format::note_failure(*newest, now_seconds(), reason);
    if (Status newer = rewrite_superblock(io, *newest); !newer) written = std::move(newer);
  }
  if (!written) {
    ashlar::log(LogLevel::warning, "{}: the superblock does not say so: {}", device.name(), written.error().message());
  }
}

Result<InodeNumber> Store::new_inode_number(Transaction& transaction) {
  std::uint64_t number = state_->next_inode.load(std::memory_order_relaxed);
  do {
    if (number >= format::kInodeNumberLimit) return fail(ErrorCode::no_space, "no inode number is left");
  } while (!state_->next_inode.compare_exchange_weak(number, number + 1, std::memory_order_relaxed));
  transaction.counter(format::Counter::next_inode, number + 1);
  return InodeNumber{number};
}

Space Store::space() const {
  const State& state = *state_;
  const format::Layout& layout = state.layout();
  const std::uint64_t place_blocks = std::uint64_t{layout.node_blocks()} * format::kCopies;
  Space space;
  space.total = layout.block_count() - layout.fixed_blocks();
  // Every node counts with the blocks that it will have, whether a checkpoint has placed it already or not, so that the
  // figure does not depend on when checkpoints happen.
  const std::uint64_t without_nodes = state.allocator->free_committed() + state.placed_nodes.load() * place_blocks;
  const std::uint64_t nodes = state.tree->totals().nodes * place_blocks;
  // While the volume grows, what it gains may be counted before the total shows it.
  space.free = without_nodes > nodes ? std::min(without_nodes - nodes, space.total) : 0;
  const std::uint64_t reserve = state.reserve_nodes * place_blocks;
  space.available = space.free > reserve ? space.free - reserve : 0;
  return space;
}

std::uint64_t Store::item_count(format::ItemKind kind) const {
  return state_->tree->totals().items[static_cast<std::size_t>(kind)];
}

StoreStats Store::stats() const {
  const State& state = *state_;
  StoreStats stats;
  if (state.log) {
    stats.log = state.log->stats();
    stats.log_fill = state.log->fill();
  }
  stats.log_bytes = state.layout().log().count * state.layout().block_size();
  stats.syncs = state.syncs.load(std::memory_order_relaxed);
  stats.errors = state.errors_since_mkfs();
  stats.errors_here = state.errors_here();
  stats.discards_online = state.discards_online();
  stats.discarded_bytes = state.discarded_blocks.load(std::memory_order_relaxed) * state.layout().block_size();
  stats.checkpoints = state.checkpoints.load();
  stats.nodes_written = state.nodes_written.load();
  stats.nodes_read = state.nodes.nodes_read();
  stats.nodes_healed = state.nodes.nodes_healed();
  stats.replayed_records = state.replayed_records;
  stats.replayed_bytes = state.replayed_bytes;
  stats.cache_bytes = state.tree->resident_bytes();
  stats.dirty_nodes = state.tree->dirty_nodes();
  stats.generation = Generation{state.durable_generation.load()};
  const std::scoped_lock lock(state.failure_lock);
  stats.failure = state.failure;
  return stats;
}

void Store::charge_cache(std::size_t bytes) noexcept { state_->tree->charge(bytes); }

void Store::note_data_error() noexcept { state_->data_errors.fetch_add(1, std::memory_order_relaxed); }

ErrorCounts Store::State::errors_here() const {
  ErrorCounts counts;
  counts.metadata = nodes.bad_copies() + allocator->healed() + fixed_bad.load(std::memory_order_relaxed) +
                    static_cast<std::uint64_t>(log_was_damaged);
  counts.metadata_healed = nodes.nodes_healed() + allocator->healed() + fixed_healed.load(std::memory_order_relaxed);
  counts.data = data_errors.load(std::memory_order_relaxed);
  return counts;
}

ErrorCounts Store::State::errors_since_mkfs() const {
  ErrorCounts counts = errors_here();
  counts.metadata += mounted.metadata_errors;
  counts.metadata_healed += mounted.metadata_healed;
  counts.data += mounted.data_errors;
  return counts;
}

bool Store::State::has_unrecorded_errors() const {
  const ErrorCounts counts = errors_here();
  return counts.metadata + counts.metadata_healed + counts.data != errors_recorded.load(std::memory_order_relaxed);
}

// A checkpoint would find blocks to discard: many, or any and nobody has committed anything since `end`.
bool Store::State::frees_wait_for_discard(Lsn end) const {
  if (!discards_online()) return false;
  const std::uint64_t waiting = allocator->waiting();
  return waiting * layout().block_size() >= kDiscardWorthACheckpoint || (waiting != 0 && log->end() == end);
}

void Store::State::background_loop(blockio::IoQueue& io) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point turn = Clock::now() + options.commit_interval;
  Lsn last_end = log->end();
  for (;;) {
    const bool more = discard_freed(io);
    bool due = false;
    {
      std::unique_lock lock(background_lock);
      background_wakeup.wait_until(lock, more ? Clock::now() : turn,
                                   [this] { return background_stop || checkpoint_due; });
      if (background_stop) return;
      due = std::exchange(checkpoint_due, false);
    }
    if (stopped.load(std::memory_order_acquire)) return;
    if (!due && Clock::now() < turn) continue;
    due = due || has_unrecorded_errors() || frees_wait_for_discard(last_end);
    last_end = log->end();
    // Failures stop the volume where they happen, and the next turn of the loop ends.
    const Status done = due ? checkpoint(io, false) : sync(io, log->end());
    if (!done)
      ashlar::log(LogLevel::debug, "{}: background {}: {}", device.name(), due ? "checkpoint" : "sync",
                  done.error().message());
    turn = Clock::now() + options.commit_interval;
  }
}

void Store::State::stop_background() {
  {
    const std::scoped_lock lock(background_lock);
    background_stop = true;
    background_wakeup.notify_one();
  }
  if (background.joinable()) background.join();
}

}  // namespace ashlar::store
