// The transactional ordered key-value store a volume is an application of. Everything about crash safety is below this
// interface, everything about files above it.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "blockio/block_device.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/claim/claim_options.h"
#include "fs/format/key.h"
#include "fs/format/layout.h"
#include "fs/store/allocator/allocator.h"
#include "fs/store/data_epoch.h"
#include "fs/store/log/log_writer.h"
#include "fs/store/reclaim.h"
#include "fs/store/scrub.h"
#include "fs/store/transaction.h"
#include "fs/store/tree/tree.h"

namespace ashlar::store {

struct StoreOptions {
  bool read_only = false;  // replays the log in memory and writes nothing
  bool skip_log = false;   // norecovery: read_only, the state of the last checkpoint
  bool background = true;  // periodic sync and checkpoints on a thread of the store's own; tests do without
  std::size_t cache_bytes = 256U << 20;
  std::chrono::milliseconds commit_interval{5000};
  bool discard = false;        // the device is told of blocks that become free
  claim::ClaimOptions claim;   // of volumes that several hosts can reach
  blockio::QueueConfig queue;  // for the background thread
  // Called once, when the volume has stopped because of a failure and its superblock says so (if it could be written);
  // not by shut_down(). By any thread, which may hold a read guard.
  std::function<void()> on_failure;
};

// How far a commit may draw on the reserve kept so that deleting works on a full volume.
enum class CommitKind : std::uint8_t {
  ordinary,   // not at all
  zeroing,    // by a half: part of a block becomes zeros, which takes a new block and gives back the old one
  filling,    // by a half, or less of a small one: blocks taken before are written to, of which the tree grows
  replacing,  // by three quarters: items take the place of others as long, so that a checkpoint gives all of it back
  freeing,    // all of it
};

// In volume blocks. `available` is what ordinary writers can still use.
struct Space {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t available = 0;
};

// What the daemon found bad. A copy that is met again before it could be rewritten counts again.
struct ErrorCounts {
  std::uint64_t metadata = 0;         // copies of metadata
  std::uint64_t metadata_healed = 0;  // of those, rewritten from the other copy
  std::uint64_t data = 0;             // blocks of file data
};

struct StoreStats {
  LogStats log;
  std::uint64_t log_bytes = 0;        // size of the log's area
  double log_fill = 0;                // used and reserved part of it, 0 to 1
  std::uint64_t syncs = 0;            // calls of sync(): fsync and its like
  ErrorCounts errors;                 // since mkfs, as far as checkpoints recorded them before this mount
  ErrorCounts errors_here;            // since the volume was opened
  bool discards_online = false;       // StoreOptions::discard, and it works
  std::uint64_t discarded_bytes = 0;  // since the volume was opened, by trim(), too
  std::uint64_t checkpoints = 0;
  std::uint64_t nodes_written = 0;
  std::uint64_t nodes_read = 0;
  std::uint64_t nodes_healed = 0;
  std::uint64_t replayed_records = 0;
  std::uint64_t replayed_bytes = 0;
  std::size_t cache_bytes = 0;
  std::uint64_t dirty_nodes = 0;
  Generation generation;  // durable
  std::string failure;    // why the volume went read-only; empty when it did not
};

// What growing a volume did or would do; all in bytes.
struct GrowOutcome {
  std::uint64_t before = 0;
  std::uint64_t after = 0;  // the same: nothing to do
  std::uint64_t device = 0;
};

// Thread-safe. Every call that may do I/O takes the calling thread's own queue. Lock order: grow_lock,
// discard_lock, checkpoint_lock, commit_lock, then the locks inside log, allocator and tree, one at a time.
class Store {
 public:
  // Chooses the superblock, replays the log, and unless read-only makes a first checkpoint that begins a new log epoch.
  // The device outlives the store.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                           const StoreOptions& options);
  // Without close() this is a crash: nothing more is written.
  ~Store();

  // As it is now; what was returned once stays as it was. Whoever found something on the volume finds it in the layout
  // that he asks for afterwards.
  [[nodiscard]] const format::Layout& layout() const noexcept;
  // As it was at mount; identity and the sizes of blocks and nodes do not change, label and size of the volume may.
  [[nodiscard]] const format::Superblock& superblock() const noexcept;
  [[nodiscard]] bool read_only() const noexcept;  // asked for, or after a failure

  // Reading. See Tree.
  [[nodiscard]] Result<bool> get(blockio::IoQueue& io, const format::Key& key, ItemValue& value);
  [[nodiscard]] Result<bool> floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& highest,
                                   format::Key& found, ItemValue& value);
  [[nodiscard]] Status scan(blockio::IoQueue& io, const format::Key& first, const format::Key& last,
                            const ItemVisitor& visit);
  [[nodiscard]] Status scan_from_floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& first,
                                       const format::Key& last, const ItemVisitor& visit);

  // Guards may not be held across commit(), allocate(), checkpoint(), or waiting for any lock: a checkpoint waits for
  // them. Held from before the extents of a file are looked up until its blocks have been read: blocks freed meanwhile
  // are not reused.
  [[nodiscard]] Reclaim::Guard read_guard() noexcept;

  // The caller keeps so many bytes more in memory for as long as the store is open: they count as cached, and the tree
  // has that much less.
  void charge_cache(std::size_t bytes) noexcept;

  // Takes a run of between request.minimum and request.maximum blocks, leaving what metadata may need. Frees what a
  // checkpoint would free before it says no_space. read_only and shut_down as commit. `kind`: of the commit to come;
  // for one that is not ordinary, as few blocks as it takes.
  [[nodiscard]] Result<Allocation> allocate(blockio::IoQueue& io, const AllocationRequest& request,
                                            CommitKind kind = CommitKind::ordinary);

  // How often commit() or claim_space() said no_space for want of places for nodes. Blocks may be free nevertheless,
  // but scattered: see Allocator::open_metadata_zones(). Then the caller may move the file data out of the zones that
  // are opened here. allocate() closes all zones before it says no_space.
  [[nodiscard]] std::uint64_t node_shortages() const noexcept;
  [[nodiscard]] Result<std::vector<BlockRun>> open_metadata_zones(blockio::IoQueue& io);

  // Takes whole blocks of file data (at most WriteBehind::kMaxWriteBytes) into memory and returns where they will lie;
  // they are on the device before a record committed later is durable, and before settle() returns. Empty when no run
  // of that length is free. As allocate; io_error once such data could not be written.
  [[nodiscard]] Result<Allocation> write_behind(blockio::IoQueue& io, std::span<const iovec> pieces,
                                                std::uint64_t blocks);
  // Blocks of the run that are still in memory are on the device when this returns ok. To be called before reading.
  [[nodiscard]] Status settle(blockio::IoQueue& io, BlockRun run);

  // Who writes file data to the device without write_behind() changes it before and after.
  [[nodiscard]] DataEpoch& data_epoch() noexcept;

  // Makes the transaction true for every later reader, and durable as soon as sync() covers the LSN returned. Data that
  // it names must have been written (completed, not necessarily flushed) or given to write_behind() before. On an error
  // nothing has changed. The transaction is empty afterwards. no_space, read_only, shut_down, io_error,
  // argument_too_large.
  [[nodiscard]] Result<Lsn> commit(blockio::IoQueue& io, Transaction& transaction,
                                   CommitKind kind = CommitKind::ordinary);

  // Takes node places for all that is staged so far, and one inode's item more: space is not what commit() will fail
  // for. For who overwrites something in place in between. `kind` as for that commit. no_space, read_only, shut_down,
  // io_error.
  [[nodiscard]] Status claim_space(blockio::IoQueue& io, Transaction& transaction, CommitKind kind);

  // Everything committed up to `upto` (default: all) is durable when this returns ok. Once it failed it keeps failing.
  [[nodiscard]] Status sync(blockio::IoQueue& io, Lsn upto);
  [[nodiscard]] Status sync(blockio::IoQueue& io);
  // Data written in place outside of transactions (no-copy-on-write files) is on the medium when this returns.
  [[nodiscard]] Status flush_device(blockio::IoQueue& io);

  // Writes everything to its place and empties the log. Runs beside readers and writers.
  [[nodiscard]] Status checkpoint(blockio::IoQueue& io);
  // Last checkpoint, marks the volume clean, stops the thread. No other call may be running. Nothing is written
  // afterwards, whatever is called: what would write fails with shut_down, and close() is ok again.
  [[nodiscard]] Status close(blockio::IoQueue& io);
  // Stops at once, writes nothing more; every later call that would write fails with shut_down.
  void shut_down(std::string reason);

  // Tells the device which blocks of `within` (cut at the volume's end) are free, in runs of at least `minimum` blocks;
  // returns how many it told. Others go on meanwhile. From block 0 on: after a checkpoint, if one frees anything.
  // not_supported when the device does not want to know; invalid_argument: `minimum` is above 64 MiB.
  [[nodiscard]] Result<std::uint64_t> trim(blockio::IoQueue& io, BlockRun within, std::uint64_t minimum);

  // StoreOptions::discard: tells the device of the next places where checkpoints freed blocks, as far as those are
  // still free; whether there are more. The store's own thread does it, and close(). A failure is told in the log, and
  // ends it for good.
  bool discard_freed(blockio::IoQueue& io);

  // Makes the volume larger while others go on: to `wanted` bytes, or to all that the device has by now. An image file
  // that is shorter is made longer. Durable when it returns; a crash before leaves the volume as it was or as it is to
  // be. `dry_run`: only tells. invalid_argument: it has more already, or blocks too small for such a size;
  // device_too_small; no_space: no room for a larger group table. These leave everything as it was; what else fails is
  // a checkpoint's.
  [[nodiscard]] Result<GrowOutcome> grow(blockio::IoQueue& io, std::optional<std::uint64_t> wanted, bool dry_run);

  // At most format::kLabelSize bytes without NUL; durable when it returns. A failed write stops the volume.
  [[nodiscard]] std::string label() const;
  [[nodiscard]] Status set_label(blockio::IoQueue& io, std::string_view label);

  // A number never used before on this volume, also after a crash, as far as its superblock and log tell the truth.
  // no_space when there is none left.
  [[nodiscard]] Result<InodeNumber> new_inode_number(Transaction& transaction);

  // Looking for damage. What lies at fixed places comes in units (superblock, blocks of the group table, bitmaps), each
  // of which keeps checkpoints waiting for two reads; the tree leaf by leaf, each with the nodes above that begin with
  // it. Both copies are read, bad ones rewritten from good ones where the volume is writable. scrub_leaf: the caller
  // holds a read_guard().
  [[nodiscard]] std::uint64_t scrub_units() const noexcept;
  [[nodiscard]] Status scrub_unit(blockio::IoQueue& io, std::uint64_t unit, MetadataScrub& scrub);
  [[nodiscard]] Result<LeafScrub> scrub_leaf(blockio::IoQueue& io, const format::Key& at, MetadataScrub& scrub);

  // A block of file data is not what it should be: counted, for the superblock and for stats().
  void note_data_error() noexcept;

  [[nodiscard]] Space space() const;
  [[nodiscard]] std::uint64_t item_count(format::ItemKind kind) const;
  [[nodiscard]] StoreStats stats() const;

  struct State;  // store_state.h, for the files that implement this class

 private:
  friend class Allocation;
  friend class SpaceClaim;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::store
