// Committing a transaction: everything that can fail first, then the change itself, which cannot.
#include <absl/container/inlined_vector.h>
#include <fmt/core.h>

#include "fs/format/items.h"
#include "fs/format/log.h"
#include "fs/store/space_retry.h"
#include "fs/store/store_state.h"

namespace ashlar::store {
namespace {

// Times that a commit lets others use up the places that they have claimed.
constexpr int kMaxClaimWaits = 1000;
// Times that apply() may find a node evicted after load() before it gives up.
constexpr int kMaxLoadRetries = 1000;
// Places that one step of removing a file may ask for, whatever the size of nodes; see volume::max_items_per_step().
constexpr std::size_t kNodesOfRemovalStep = 44;
// Of a transaction, for which places stay when spare ones are given back.
constexpr std::size_t kUsualPaths = 4;
// The log's fill and the cache's dirty share from which a checkpoint is due in the background.
constexpr double kCheckpointLogFill = 0.5;
constexpr std::uint64_t kCheckpointDirtyShare = 2;

// Zones for metadata have room for the nodes there are divided by this: looking for what lies in them means reading the
// whole tree.
constexpr std::uint64_t kTreeShareOfZones = 4;
constexpr std::uint64_t kLeastNodesOfZones = 64;

template <typename Outcome>
bool is_no_space(const Outcome& outcome) {
  return !outcome && outcome.error().code() == ErrorCode::no_space;
}

}  // namespace

Status Store::State::check_writable() const {
  if (stopped.load(std::memory_order_acquire)) return fail(ErrorCode::shut_down);
  if (options.read_only) return fail(ErrorCode::read_only);
  return {};
}

// Operations on one inode lie side by side in the tree, so a run of them dirties one path, its possible splits, and the
// leaves its items fill.
Store::State::NodeDemand Store::State::node_demand(std::span<const std::byte> record) const {
  const std::size_t erased_item = format::max_extent_value_size(layout().node_size());  // at most, of many
  const std::size_t half_node = layout().node_size() / 2;
  NodeDemand demand;
  std::size_t run_bytes = 0;
  InodeNumber run_inode{~0ULL};
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (cursor.next(op).value_or(false)) {
    if (op.op != format::LogOpKind::put && op.op != format::LogOpKind::erase) continue;
    if (op.key.inode != run_inode) {
      ++demand.paths;
      demand.leaves += run_bytes / half_node;
      run_inode = op.key.inode;
      run_bytes = 0;
    }
    run_bytes += sizeof(format::LeafItem) + (op.op == format::LogOpKind::put ? op.value.size() : erased_item);
  }
  demand.leaves += run_bytes / half_node + 1;
  return demand;
}

std::size_t Store::State::nodes_needed(const NodeDemand& demand, CommitKind kind, std::size_t claimed) const {
  const TreeExtent extent = tree->extent();
  std::size_t needed = demand.paths * 2 * extent.height + demand.leaves + extent.dirty_nodes;
  needed -= std::min<std::size_t>(needed, placing_nodes.load(std::memory_order_relaxed));
  return needed + claimed_nodes.load(std::memory_order_relaxed) - claimed + nodes_kept(kind);
}

// A checkpoint beside may be taking places meanwhile, and each that it takes is one less that is needed: what it takes
// between the two looks must not count for both.
bool Store::State::has_places_for(const NodeDemand& demand, CommitKind kind, std::size_t claimed) const {
  const std::size_t needed = nodes_needed(demand, kind, claimed);
  return pool->size() >= needed;
}

std::size_t Store::State::nodes_kept(CommitKind kind) const noexcept {
  const std::size_t reserve = reserve_nodes.load(std::memory_order_relaxed);
  switch (kind) {
    case CommitKind::ordinary: return reserve;
    case CommitKind::zeroing: return reserve / 2;
    // What the tree grows by is not given back, and one step of removing a file must still be possible.
    case CommitKind::filling: return std::max(reserve / 2, std::min(kNodesOfRemovalStep, reserve));
    case CommitKind::replacing: return reserve / 4;
    case CommitKind::freeing: break;
  }
  return 0;
}

bool Store::State::give_up_node_place() {
  const std::scoped_lock lock(commit_lock);  // no commit counts on the place meanwhile
  // Enough stays for the commit that the blocks are for.
  const std::size_t reserve = reserve_nodes.load(std::memory_order_relaxed);
  const std::size_t kept = tree->dirty_nodes() + claimed_nodes.load(std::memory_order_relaxed) + reserve - reserve / 4;
  const std::size_t places = pool->size();
  if (places <= kept) return false;
  pool->trim(places - 1);
  return true;
}

// Nodes that were dirty and are gone without ever being written leave their places.
bool Store::State::give_back_spare_places() {
  const std::scoped_lock lock(commit_lock);
  const TreeExtent extent = tree->extent();
  const std::size_t kept = extent.dirty_nodes + claimed_nodes.load(std::memory_order_relaxed) +
                           reserve_nodes.load(std::memory_order_relaxed) + kUsualPaths * 2 * extent.height;
  if (pool->size() <= kept) return false;
  pool->trim(kept);
  return true;
}

Result<bool> Store::State::give_back_gathered(blockio::IoQueue& io) {
  Result<bool> any = write_behind->give_back(io);
  if (!any) stop_if_data_lost(io);
  return any;
}

bool Store::State::checkpoint_frees_space() const { return allocator->waiting() != 0 || tree->dirty_nodes() != 0; }

Status Store::State::ensure_node_places(blockio::IoQueue& io, const NodeDemand& demand, CommitKind kind,
                                        std::size_t claimed) {
  int waits = 0;
  for (SpaceRetry retry(*this, io);;) {
    retry.begin();
    const std::size_t claims = claimed_nodes.load(std::memory_order_relaxed);
    Status filled = pool->fill(io, nodes_needed(demand, kind, claimed));
    if (is_no_space(filled) && TRY(give_back_gathered(io))) {
      filled = pool->fill(io, nodes_needed(demand, kind, claimed));
    }
    if (!is_no_space(filled)) return filled;
    if (claims > claimed && claimed == 0 && waits++ < kMaxClaimWaits) {
      retry.start_over();
      claimed_nodes.wait(claims);  // who has one waits for nobody who waits here
      continue;
    }
    if (TRY(retry.make_space())) continue;
    node_shortages.fetch_add(1, std::memory_order_relaxed);
    return filled;
  }
}

std::uint64_t Store::node_shortages() const noexcept { return state_->node_shortages.load(std::memory_order_relaxed); }

Result<SpaceClaim> Store::State::claim(Store& store, blockio::IoQueue& io, std::span<const std::byte> record,
                                       CommitKind kind) {
  NodeDemand demand = node_demand(record);
  ++demand.leaves;  // the item to come may open one more
  for (int attempt = 0; attempt < kMaxLoadRetries; ++attempt) {
    if (attempt != 0) TRY(ensure_node_places(io, demand, kind));
    const std::scoped_lock lock(commit_lock);
    TRY(check_writable());
    if (!has_places_for(demand, kind)) continue;
    const std::size_t claimed = demand.paths * 2 * tree->height() + demand.leaves;
    claimed_nodes.fetch_add(claimed, std::memory_order_relaxed);
    return SpaceClaim(store, claimed);
  }
  return fail(ErrorCode::try_again, "places for tree nodes are too much in demand");
}

Status Store::claim_space(blockio::IoQueue& io, Transaction& transaction, CommitKind kind) {
  transaction.claim_ = TRY(state_->claim(*this, io, transaction.record_.finish(), kind));
  return {};
}

// Nearly always there are places for all nodes and all nodes are in memory, and only under commit_lock is that certain:
// so the first attempt does not prepare for anything else.
Result<Lsn> Store::State::apply(blockio::IoQueue& io, std::span<const std::byte> record,
                                std::span<const BlockRun> allocated, std::span<const BlockRun> freed, CommitKind kind,
                                SpaceClaim& claim) {
  const NodeDemand demand = node_demand(record);
  for (int attempt = 0; attempt < kMaxLoadRetries; ++attempt) {
    const bool prepared = attempt != 0;
    if (prepared) {
      TRY(ensure_node_places(io, demand, kind, claim.nodes()));
      const Reclaim::Guard guard(reclaim);  // what load() reads is not reused under it
      TRY(tree->load(io, record));
    }
    const std::scoped_lock lock(commit_lock);
    TRY(check_writable());
    // A damaged volume may hold extents over blocks that are not theirs; giving those back would stop the volume.
    TRY(allocator->check_free(freed));
    if (!has_places_for(demand, kind, claim.nodes())) continue;
    if (!tree->apply(record, prepared)) continue;
    claim.reset();
    allocator->commit(allocated, freed);
    return log->append(record, record.size());
  }
  return fail(ErrorCode::try_again, "the node cache is too small for the load");
}

Result<Lsn> Store::commit(blockio::IoQueue& io, Transaction& transaction, CommitKind kind) {
  State& state = *state_;
  struct Emptied {
    Transaction& transaction;
    ~Emptied() { transaction.clear(); }
  } const emptied{transaction};

  TRY(state.check_writable());
  const std::span<const std::byte> record = transaction.record_.finish();
  // Freed, then allocated.
  absl::InlinedVector<BlockRun, 2 * Transaction::kFewRuns> runs;
  runs.insert(runs.end(), transaction.freed_.begin(), transaction.freed_.end());
  for (const Allocation& allocation : transaction.adopted_) runs.push_back(allocation.run());
  const std::span<const BlockRun> touched(runs.data(), runs.size());
  const std::span<const BlockRun> freed = touched.first(transaction.freed_.size());
  const std::span<const BlockRun> allocated = touched.subspan(freed.size());

  TRY(state.log->reserve(record.size(), [&state, &io] {
    const std::uint64_t seen = state.checkpoints.load();
    return state.checkpoint(io, false, seen);
  }));
  if (Status pinned = state.allocator->pin(io, touched); !pinned) {
    state.log->unreserve(record.size());
    return fail(std::move(pinned).error());
  }
  // What a claim found room for is not weighed again.
  if (transaction.claim_.nodes() != 0) kind = CommitKind::freeing;
  Result<Lsn> lsn = state.apply(io, record, allocated, freed, kind, transaction.claim_);
  state.allocator->unpin(touched);
  if (!lsn) {
    state.tree->resume_eviction();
    state.log->unreserve(record.size());
    return lsn;
  }
  for (Allocation& allocation : transaction.adopted_) allocation.store_ = nullptr;  // the volume's now
  if (state.log->backlog()) {
    // The transaction is true already; a failure here stops the volume and every later sync reports it.
    const Status written = state.sync(io, *lsn);
    if (!written) return lsn;
  }
  state.wake_background_if_due();
  return lsn;
}

Result<BlockRun> Store::State::allocate(blockio::IoQueue& io, const AllocationRequest& request) {
  for (SpaceRetry retry(*this, io);;) {
    TRY(check_writable());
    retry.begin();
    Result<BlockRun> run = allocator->allocate(io, request);
    if (is_no_space(run) && give_back_spare_places()) run = allocator->allocate(io, request);
    if (is_no_space(run) && TRY(give_back_gathered(io))) run = allocator->allocate(io, request);
    if (!is_no_space(run)) return run;
    if (TRY(retry.make_space())) continue;
    // Whoever wants a run of some length asks for a shorter one next.
    if (request.minimum != 1 || !allocator->close_metadata_zones()) return run;
    retry.start_over();
  }
}

Result<Allocation> Store::allocate(blockio::IoQueue& io, const AllocationRequest& request, CommitKind kind) {
  Result<BlockRun> run = state_->allocate(io, request);
  if (kind != CommitKind::ordinary) {
    while (is_no_space(run) && state_->give_up_node_place()) {
      run = state_->allocator->allocate(io, request);
    }
  }
  return Allocation(*this, TRY(std::move(run)));
}

Result<std::vector<BlockRun>> Store::open_metadata_zones(blockio::IoQueue& io) {
  State& state = *state_;
  TRY(state.check_writable());
  static_cast<void>(TRY(state.give_back_gathered(io)));  // what is written next is not to lie there
  const std::uint64_t nodes = state.placed_nodes.load(std::memory_order_relaxed) + state.tree->dirty_nodes();
  const std::uint64_t blocks = std::max(nodes / kTreeShareOfZones, kLeastNodesOfZones) * format::kCopies;
  return state.allocator->open_metadata_zones(io, blocks * state.layout().node_blocks());
}

Result<Allocation> Store::write_behind(blockio::IoQueue& io, std::span<const iovec> pieces, std::uint64_t blocks) {
  TRY(state_->check_writable());
  Result<BlockRun> run = state_->write_behind->write(io, pieces, blocks);
  if (!run) {
    state_->stop_if_data_lost(io);
    return fail(std::move(run).error());
  }
  return run->count == 0 ? Allocation() : Allocation(*this, *run);
}

DataEpoch& Store::data_epoch() noexcept { return state_->data_epoch; }

Status Store::settle(blockio::IoQueue& io, BlockRun run) {
  if (!state_->write_behind) return {};
  Status drained = state_->write_behind->drain(io, run);
  if (!drained) state_->stop_if_data_lost(io);
  return drained;
}

void Store::State::stop_if_data_lost(blockio::IoQueue& io) {
  if (write_behind->failed()) fail_for_good(io, "file data gathered in memory could not be written");
}

void Store::State::wake_background_if_due() {
  const bool due = log->fill() > kCheckpointLogFill ||
                   tree->dirty_nodes() * layout().node_size() > options.cache_bytes / kCheckpointDirtyShare;
  if (!due) return;
  const std::scoped_lock lock(background_lock);
  checkpoint_due = true;
  background_wakeup.notify_one();
}

}  // namespace ashlar::store
