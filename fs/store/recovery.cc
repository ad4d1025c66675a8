// Opening a volume: the last checkpoint, and on top of it the log's records.
#include <cstring>
#include <string>

#include "fs/base/log.h"
#include "fs/base/seeded_bug.h"
#include "fs/base/thread.h"
#include "fs/format/log.h"
#include "fs/format/places.h"
#include "fs/format/text.h"
#include "fs/store/log/log_reader.h"
#include "fs/store/store_state.h"
#include "fs/store/superblock_io.h"

namespace ashlar::store {
namespace {

constexpr std::size_t kMaxReserveNodes = 2048;
constexpr std::size_t kMinReserveNodes = 64;
constexpr std::uint64_t kReserveShare = 64;  // of the volume
constexpr int kMaxReplayLoads = 1000;

TreeConfig tree_config(const format::Superblock& superblock, std::size_t cache_bytes) {
  TreeConfig config;
  config.node_size = superblock.node_size;
  config.cache_bytes = cache_bytes;
  std::memcpy(config.uuid, superblock.uuid, sizeof config.uuid);
  return config;
}

TreeTotals tree_totals(const format::Superblock& superblock) {
  TreeTotals totals;
  totals.nodes = superblock.node_count;
  for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) totals.items[kind] = superblock.item_count[kind];
  return totals;
}

// What fsck has not looked at since is used all the same, but not silently.
void tell_of_errors(const std::string& device, const format::Superblock& superblock) {
  if ((superblock.flags & format::kHasErrors) == 0) return;
  const std::string why = superblock.failure_count == 0 ? std::string("errors were found")
                                                        : "stopped: " + format::reason_text(superblock.last_failure);
  ashlar::log(LogLevel::warning, "{}: in an earlier mount: {}; unmount and run fsck.ashlarfs", device, why);
}

}  // namespace

std::size_t reserve_for(const format::Layout& layout) noexcept {
  const std::uint64_t place_blocks = std::uint64_t{layout.node_blocks()} * format::kCopies;
  const std::uint64_t nodes = layout.block_count() / kReserveShare / place_blocks;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(nodes, kMinReserveNodes, kMaxReserveNodes));
}

Store::State::State(blockio::BlockDevice& block_device, const StoreOptions& store_options,
                    const format::Superblock& superblock)
    : device(block_device),
      options(store_options),
      mounted(superblock),
      layouts(format::Layout::of(superblock)),
      reserve_nodes(reserve_for(layout())),
      nodes(layouts, superblock.uuid, !store_options.read_only),
      current(superblock),
      durable_generation(superblock.generation),
      next_inode(superblock.next_inode),
      placed_nodes(superblock.node_count),
      label(superblock.label, strnlen(superblock.label, format::kLabelSize)) {}

Result<std::unique_ptr<Store>> Store::open(blockio::BlockDevice& device, blockio::IoQueue& io,
                                           const StoreOptions& options) {
  if (!options.read_only && device.geometry().read_only) {
    return fail(ErrorCode::read_only, "the device is read-only; mount with -o ro");
  }
  ClaimedVolume volume;
  if (options.read_only) {
    volume.superblock = TRY(read_superblock(device.geometry(), io, false));
  } else {
    volume = TRY(claim_volume(device.geometry(), io, options.claim));
  }
  tell_of_errors(device.name(), volume.superblock);
  auto state = std::make_unique<State>(device, options, volume.superblock);
  if (volume.claim) {
    state->host_claim = std::move(volume.claim);
    TRY(state->host_claim->keep(device, [raw = state.get()](std::string why) { raw->lose(std::move(why)); }));
  }
  if (options.discard && !options.read_only) state->begin_online_discard();
  TRY(state->recover(io));
  if (options.background && !options.read_only) {
    state->background_queue = TRY(device.open_queue(options.queue));
    state->background = TRY(start_thread([raw = state.get()] { raw->background_loop(*raw->background_queue); }));
  }
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

Status Store::State::recover(blockio::IoQueue& io) {
  allocator = TRY(Allocator::open(io, mounted, options.read_only));
  tree = std::make_unique<Tree>(tree_config(mounted, options.cache_bytes), nodes, format::load(mounted.root),
                                Generation{mounted.generation}, tree_totals(mounted));
  LogEnd end;
  end.next = Lsn{mounted.log_start};
  if (!options.skip_log) {
    end =
        TRY(read_log(io, mounted, [this, &io](Lsn, std::span<const std::byte> record) { return replay(io, record); }));
  }
  replayed_records = end.records;
  replayed_bytes = end.bytes;
  if (end.records != 0) {
    ashlar::log(LogLevel::info, "{}: recovered {} transactions from {} KiB of log", device.name(), end.records,
                end.bytes >> 10);
  }
  note_damage(end);
  if (options.read_only) return {};

  // The first checkpoint holds what was replayed and begins a new epoch behind the old log, whose chunks stay untouched
  // until it is durable: a crash in here finds them again.
  LogPosition position{format::next_log_epoch(mounted.log_epoch), end.next, 0};
  if (has_bug(SeededBug::recovery_repeats_epoch)) {
    position = {mounted.log_epoch, Lsn{mounted.log_start}, mounted.log_start_chain};
  }
  log = std::make_unique<LogWriter>(layout(), mounted.uuid, position);
  pool = std::make_unique<NodePool>(layout(), *allocator);
  write_behind = std::make_unique<WriteBehind>(
      layout(), *allocator, data_epoch,
      [this](blockio::IoQueue& queue, const AllocationRequest& request) { return allocate(queue, request); });
  log->set_gathered_data(*write_behind);
  current.mount_count = current.mount_count + 1;
  current.mounted_time = now_seconds();
  Status filled = pool->fill(io, tree->dirty_nodes() + reserve_nodes);
  if (!filled && filled.error().code() != ErrorCode::no_space) return filled;
  if (pool->size() < tree->dirty_nodes()) return fail(std::move(filled).error());
  return checkpoint(io, false);
}

// The volume is whole without what the log lost, and refusing it would not bring that back: it is used, and says so.
void Store::State::note_damage(const LogEnd& end) {
  log_was_damaged = end.is_damaged();
  const BlockNumber block = format::log_block(layout(), end.next);
  if (end.lost_upto) {
    ashlar::log(LogLevel::error,
                "{}: the log is damaged at block {}: {} KiB of transactions that had been acknowledged as durable are "
                "lost; the volume is as it was before them",
                device.name(), block.value(), (*end.lost_upto - end.next + 1023) >> 10);
  } else if (!end.unreadable.empty()) {
    ashlar::log(LogLevel::error, "{}: the log cannot be read from block {} on: {}; what it held there is lost",
                device.name(), block.value(), end.unreadable);
  }
  if (end.unreadable_data.empty()) return;
  data_errors.fetch_add(1, std::memory_order_relaxed);
  if (end.ends_at_unreadable_data) {
    ashlar::log(LogLevel::error,
                "{}: data named by the end of the log cannot be read: {}; other data is missing too: the last {} "
                "transactions do not count",
                device.name(), end.unreadable_data, end.distrusted);
  } else {
    ashlar::log(LogLevel::error,
                "{}: data named by the end of the log cannot be read: {}; the transactions count, the file has lost "
                "that data",
                device.name(), end.unreadable_data);
  }
}

Status Store::State::replay(blockio::IoQueue& io, std::span<const std::byte> record) {
  TRY(replay_ops(io, record));
  for (int attempt = 0; attempt < kMaxReplayLoads; ++attempt) {
    TRY(tree->load(io, record));
    if (tree->apply(record)) {
      tree->evict();
      return {};
    }
  }
  return fail(ErrorCode::out_of_memory, "the node cache is too small to replay the log");
}

Status Store::State::replay_ops(blockio::IoQueue& io, std::span<const std::byte> record) {
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (TRY(cursor.next(op))) {
    switch (op.op) {
      case format::LogOpKind::allocate: TRY(allocator->replay_allocate(io, op.run)); break;
      case format::LogOpKind::free:
        if (!has_bug(SeededBug::recovery_forgets_frees)) TRY(allocator->replay_free(io, op.run));
        break;
      case format::LogOpKind::counter:
        if (op.counter == format::Counter::next_inode && op.counter_value > next_inode.load())
          next_inode.store(op.counter_value);
        break;
      case format::LogOpKind::put:
      case format::LogOpKind::sparse_put:
      case format::LogOpKind::erase:
      case format::LogOpKind::witness: break;  // the tree's, and the log reader's
    }
  }
  return {};
}

}  // namespace ashlar::store
