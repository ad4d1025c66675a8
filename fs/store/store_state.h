// What the files that implement Store share. Nobody else includes this.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "fs/base/fair_shared_mutex.h"
#include "fs/claim/volume_claim.h"
#include "fs/store/current_layout.h"
#include "fs/store/discard_list.h"
#include "fs/store/log/log_reader.h"
#include "fs/store/node_pool.h"
#include "fs/store/node_reader.h"
#include "fs/store/store.h"
#include "fs/store/write_behind.h"

namespace ashlar::store {

// Places for nodes that a volume keeps.
[[nodiscard]] std::size_t reserve_for(const format::Layout& layout) noexcept;

struct Store::State {
  State(blockio::BlockDevice& block_device, const StoreOptions& store_options, const format::Superblock& superblock);

  // Recovery (recovery.cc).
  [[nodiscard]] Status recover(blockio::IoQueue& io);
  void note_damage(const LogEnd& end);
  [[nodiscard]] Status replay(blockio::IoQueue& io, std::span<const std::byte> record);
  [[nodiscard]] Status replay_ops(blockio::IoQueue& io, std::span<const std::byte> record);

  // Checkpoint (checkpoint.cc); checkpoint_lock is held.
  [[nodiscard]] Status write_checkpoint(blockio::IoQueue& io, bool clean, Growth* growth);
  [[nodiscard]] Status free_replaced_nodes(blockio::IoQueue& io, std::span<const format::NodePointer> freed);
  // Takes checkpoint_lock; a failure stops the volume. `unless_past`: nothing to do when that many checkpoints have
  // already been made.
  [[nodiscard]] Status checkpoint(blockio::IoQueue& io, bool clean,
                                  std::optional<std::uint64_t> unless_past = std::nullopt, Growth* growth = nullptr);
  [[nodiscard]] bool checkpoint_frees_space() const;

  // Growing (growing.cc); grow_lock is held.
  [[nodiscard]] Result<format::Layout> plan_growth(std::uint64_t device_bytes, std::optional<std::uint64_t> wanted);
  [[nodiscard]] Result<BlockRun> allocate_table(blockio::IoQueue& io, std::uint64_t blocks);
  [[nodiscard]] Status place_tables(blockio::IoQueue& io, Growth& growth);
  [[nodiscard]] Status grow_to(blockio::IoQueue& io, const format::Layout& layout);

  [[nodiscard]] const format::Layout& layout() const noexcept { return layouts.get(); }

  // Commit (commit.cc).
  [[nodiscard]] Status check_writable() const;
  // A bound on the nodes that applying a record dirties anew, whatever the tree's height.
  struct NodeDemand {
    std::size_t paths = 0;  // each with its possible splits
    std::size_t leaves = 0;
  };
  [[nodiscard]] NodeDemand node_demand(std::span<const std::byte> record) const;
  // Places that the pool must have before such a record is applied, of which `claimed` for itself.
  [[nodiscard]] std::size_t nodes_needed(const NodeDemand& demand, CommitKind kind, std::size_t claimed = 0) const;
  // Whether it has them; commit_lock is held.
  [[nodiscard]] bool has_places_for(const NodeDemand& demand, CommitKind kind, std::size_t claimed = 0) const;
  // How many of the reserve stay whatever a commit of that kind needs.
  [[nodiscard]] std::size_t nodes_kept(CommitKind kind) const noexcept;
  [[nodiscard]] Status ensure_node_places(blockio::IoQueue& io, const NodeDemand& demand, CommitKind kind,
                                          std::size_t claimed = 0);
  [[nodiscard]] Result<SpaceClaim> claim(Store& store, blockio::IoQueue& io, std::span<const std::byte> record,
                                         CommitKind kind);
  // `allocated` and `freed`: the runs that the record names so; pinned. `claim` is used up.
  [[nodiscard]] Result<Lsn> apply(blockio::IoQueue& io, std::span<const std::byte> record,
                                  std::span<const BlockRun> allocated, std::span<const BlockRun> freed, CommitKind kind,
                                  SpaceClaim& claim);
  void wake_background_if_due();
  void stop_if_data_lost(blockio::IoQueue& io);  // gathered data that transactions name already
  // Asks for a checkpoint, and for what is reserved without need, before it says no_space.
  [[nodiscard]] Result<BlockRun> allocate(blockio::IoQueue& io, const AllocationRequest& request);
  // Places beyond what is dirty, claimed, kept in reserve or needed for the commit to come become free blocks; whether
  // there were any.
  [[nodiscard]] bool give_back_spare_places();
  // What gathered data has taken and does not need becomes free blocks; whether there was any. May write data.
  [[nodiscard]] Result<bool> give_back_gathered(blockio::IoQueue& io);
  // A place of the reserve for nodes becomes free blocks; false when no more may be had of it that way.
  [[nodiscard]] bool give_up_node_place();

  // Discarding (upkeep.cc). discard_free(): all of `within` that is free in runs of at least `minimum` blocks; how many
  // blocks that were. It ends early where most of what is free on the volume would be set aside, and at `until`: then
  // `within` becomes what it has not come to.
  [[nodiscard]] Result<std::uint64_t> discard_free(blockio::IoQueue& io, BlockRun& within, std::uint64_t minimum,
                                                   std::chrono::steady_clock::time_point until);
  void begin_online_discard();
  [[nodiscard]] bool discards_online() const;
  bool discard_freed(blockio::IoQueue& io);  // Store's

  // Scrubbing (scrub.cc); checkpoint_lock is held.
  [[nodiscard]] Status scrub_superblock(blockio::IoQueue& io, MetadataScrub& scrub, bool heal);
  void note_fixed(MetadataScrub& scrub, const CheckedCopies& checked, MetadataKind kind,
                  const std::array<std::uint64_t, format::kCopies>& offsets);

  [[nodiscard]] ErrorCounts errors_here() const;
  [[nodiscard]] ErrorCounts errors_since_mkfs() const;
  // Errors came up that no superblock tells yet.
  [[nodiscard]] bool has_unrecorded_errors() const;

  [[nodiscard]] Status sync(blockio::IoQueue& io, Lsn upto);
  bool stop(std::string reason);  // the volume turns read-only for good; false when it was already
  void lose(std::string reason);  // stops a volume that another host may have: not even its superblock is written
  void refuse_writes();           // once `stopped` is set: those that do not look at it
  // Stops the volume because of a failure, which is to be reported as soon as checkpoint_lock can be had.
  void note_failure(std::string reason);
  // Once after note_failure(): marks the superblock, calls on_failure. Does not wait for checkpoint_lock, whose holder
  // may be waiting for a read guard of the caller's: who holds it (CheckpointHold) comes here when it lets go.
  void report_failure(blockio::IoQueue& io);
  void fail_for_good(blockio::IoQueue& io, std::string reason);  // both
  // The superblock says that fsck should look, if it can be written. checkpoint_lock is held.
  void mark_failed(blockio::IoQueue& io);

  void background_loop(blockio::IoQueue& io);
  [[nodiscard]] bool frees_wait_for_discard(Lsn end) const;
  void stop_background();

  blockio::BlockDevice& device;
  const StoreOptions options;
  const format::Superblock mounted;
  CurrentLayout layouts;
  std::atomic<std::size_t> reserve_nodes;  // places kept so that deleting and checkpoints always work

  NodeReader nodes;
  std::unique_ptr<Allocator> allocator;
  std::unique_ptr<Tree> tree;
  std::unique_ptr<LogWriter> log;  // none on a read-only volume
  std::unique_ptr<NodePool> pool;  // none on a read-only volume
  DataEpoch data_epoch;
  std::unique_ptr<WriteBehind> write_behind;  // none on a read-only volume
  Reclaim reclaim;

  std::mutex grow_lock;          // the volume grows once at a time; before checkpoint_lock
  std::mutex checkpoint_lock;    // one checkpoint at a time; before commit_lock; taken by CheckpointHold
  format::Superblock current{};  // guarded by checkpoint_lock: as last written
  std::atomic<std::uint64_t> checkpoints{0};
  std::atomic<std::uint64_t> durable_generation{0};

  std::unique_ptr<DiscardList> online_discard;  // none unless asked for, and the device can
  std::atomic<bool> online_discard_failed{false};
  std::atomic<std::uint64_t> discarded_blocks{0};
  // Held while a run of blocks is set aside for discarding: one at a time. Shared by who is short of space, so that
  // none is set aside meanwhile. After grow_lock, before checkpoint_lock.
  FairSharedMutex discard_lock;

  std::mutex commit_lock;  // orders tree, allocator and log alike
  std::atomic<std::uint64_t> next_inode{1};
  std::atomic<std::uint64_t> placed_nodes{
      0};  // nodes whose blocks are committed: of the last tree and what a checkpoint adds
  std::atomic<std::uint64_t> placing_nodes{0};  // of the running checkpoint, still counted dirty by the tree
  std::atomic<std::size_t> claimed_nodes{0};    // places that commits to come have claimed; grows under commit_lock
  std::atomic<std::uint64_t> node_shortages{0};
  std::atomic<std::uint64_t> nodes_written{0};
  std::atomic<std::uint64_t> syncs{0};
  std::atomic<std::uint64_t> data_errors{0};
  std::atomic<std::uint64_t> fixed_bad{0};        // copies of superblocks, group table and bitmaps that a scrub found
  std::atomic<std::uint64_t> fixed_healed{0};     // of those
  std::atomic<std::uint64_t> errors_recorded{0};  // of errors_here(), all kinds, by the last checkpoint

  std::uint64_t replayed_records = 0;  // set at open
  std::uint64_t replayed_bytes = 0;
  bool log_was_damaged = false;  // found at open

  std::atomic<bool> stopped{false};  // by a failure, shut_down() or close()
  bool closed = false;               // by close(), all being well
  mutable std::mutex failure_lock;
  std::string failure;      // guarded by failure_lock
  bool report_due = false;  // guarded by failure_lock: report_failure() has something to do
  mutable std::mutex label_lock;
  std::string label;  // guarded by label_lock

  std::mutex background_lock;
  std::condition_variable background_wakeup;
  bool background_stop = false;  // guarded by background_lock
  bool checkpoint_due = false;   // guarded by background_lock
  std::unique_ptr<blockio::IoQueue> background_queue;
  std::thread background;

  std::unique_ptr<claim::VolumeClaim> host_claim;  // goes first: its thread may stop the volume. None on most volumes
};

// Holds checkpoint_lock, and reports a failure that came up meanwhile.
class CheckpointHold {
 public:
  CheckpointHold(Store::State& state, blockio::IoQueue& io) : state_(state), io_(io), lock_(state.checkpoint_lock) {}
  ~CheckpointHold() {
    lock_.unlock();
    state_.report_failure(io_);
  }
  CheckpointHold(const CheckpointHold&) = delete;
  CheckpointHold& operator=(const CheckpointHold&) = delete;

 private:
  Store::State& state_;
  blockio::IoQueue& io_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace ashlar::store
