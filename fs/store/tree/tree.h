// The volume's B+tree of items, in memory as far as it is needed: copy-on-write between checkpoints, no I/O under its
// lock.
#pragma once

#include <absl/functional/function_ref.h>
#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/key.h"
#include "fs/format/node.h"
#include "fs/store/tree/node_source.h"

namespace ashlar::store {

struct TreeConfig {
  std::uint32_t node_size = 0;
  std::uint8_t uuid[16] = {};
  std::size_t cache_bytes = 256U << 20;  // of nodes in memory; dirty ones count and cannot be dropped
};

struct TreeTotals {
  std::uint64_t nodes = 0;                           // of the live tree, resident or not
  std::uint64_t items[format::kItemKindLimit] = {};  // by kind
};

// How far the tree reaches, and what of it has changed.
struct TreeExtent {
  std::uint8_t height = 0;        // levels
  std::uint64_t dirty_nodes = 0;  // that the next checkpoints must place: of the live and of the frozen tree
};

// A value copied out of the tree.
using ItemValue = std::vector<std::byte>;

using ItemVisitor = absl::FunctionRef<bool(const format::Key&, std::span<const std::byte> value)>;  // false: stop

// Where a checkpoint puts the nodes of a frozen tree: gives addresses, and takes sealed node images in the order
// bottom-up. `image` is valid during the call only.
class NodeSink {
 public:
  virtual ~NodeSink() = default;
  [[nodiscard]] virtual Result<format::NodePointer> place(std::uint8_t level) = 0;  // addresses only
  [[nodiscard]] virtual Status write(const format::NodePointer& pointer, std::span<const std::byte> image) = 0;
};

// The way to a key for who wants to see the nodes on the device: of those on it that lie there, the ones that have
// their lowest key not below the one asked for, and the leaf in any case; so a walk from leaf to leaf meets each once.
struct TreePath {
  enum class Leaf : std::uint8_t { on_device, copied };

  std::vector<format::NodePointer> nodes;  // root first
  std::optional<ErrorCode> not_loaded;     // why the last one, an internal node, could not be entered
  Leaf leaf = Leaf::on_device;             // copied: it has changed since the last checkpoint
  format::Key lowest = format::kLowestKey;
  std::optional<format::Key> next;  // where what comes after the last node begins
};

// Thread-safe. lock_ (shared for reading, exclusive for apply, installing a loaded node, eviction, freeze) guards the
// nodes reachable from root_; it is never held across device I/O: an access that meets a node not in memory remembers
// it, unlocks, loads, and begins again.
class Tree {
 public:
  // `source` outlives the tree. `durable`: the generation of the superblock that `root` is from; new nodes get durable
  // + 1.
  Tree(const TreeConfig& config, NodeSource& source, const format::NodePointer& root, Generation durable,
       const TreeTotals& totals);
  ~Tree();

  // Copies the value of `key`; false when there is none.
  [[nodiscard]] Result<bool> get(blockio::IoQueue& io, const format::Key& key, ItemValue& value);
  // The last item with lowest <= key <= highest; false when there is none.
  [[nodiscard]] Result<bool> floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& highest,
                                   format::Key& found, ItemValue& value);
  // Visits items with first <= key <= last in order. The visitor runs under the shared lock: it must be quick and must
  // not come back to the store. Items changed by others meanwhile may be seen in either state, each at most once.
  [[nodiscard]] Status scan(blockio::IoQueue& io, const format::Key& first, const format::Key& last,
                            const ItemVisitor& visit);
  // The same from the item that floor(lowest, first) finds.
  [[nodiscard]] Status scan_from_floor(blockio::IoQueue& io, const format::Key& lowest, const format::Key& first,
                                       const format::Key& last, const ItemVisitor& visit);

  // Applies the puts and erases of a sealed log record. Loads what is missing first, outside the lock; once it begins
  // to change nodes it cannot fail. Serialised by the caller (store's commit lock is NOT needed for load(), only for
  // apply()).
  //   load: brings the paths (and, for erases, the siblings) into memory.
  //   apply: false when something is not in memory: load and retry. `loaded`: load() had brought it all, so that what
  //   is missing was evicted meanwhile, and eviction rests until a record is applied.
  [[nodiscard]] Status load(blockio::IoQueue& io, std::span<const std::byte> record);
  [[nodiscard]] bool apply(std::span<const std::byte> record, bool loaded = true);

  // For who gives up instead: eviction goes on.
  void resume_eviction();

  // Checkpoint. freeze(): the tree as it is now becomes the frozen one, O(1); returns its generation; later changes
  // copy its nodes. write_frozen(): places and writes every node that changed since the last checkpoint, children
  // first; returns the root's pointer and appends the addresses that this generation no longer uses to `freed`. Runs
  // beside readers and writers. finish_frozen(): it is durable; its nodes are clean now. abandon is not possible: a
  // failed checkpoint stops the volume.
  Generation freeze();
  [[nodiscard]] Result<format::NodePointer> write_frozen(NodeSink& sink, std::vector<format::NodePointer>& freed);
  void finish_frozen();
  [[nodiscard]] TreeTotals frozen_totals() const;

  // Internal nodes are loaded, leaves are not. `image` (node size bytes) takes the leaf when it is copied. What is
  // found stays on the device as long as a reclaim guard is held from before.
  [[nodiscard]] Status find_path(blockio::IoQueue& io, const format::Key& key, TreePath& path,
                                 std::span<std::byte> image);

  [[nodiscard]] TreeTotals totals() const;
  [[nodiscard]] TreeExtent extent() const;
  [[nodiscard]] std::uint64_t dirty_nodes() const { return extent().dirty_nodes; }
  [[nodiscard]] std::uint8_t height() const { return extent().height; }
  [[nodiscard]] std::size_t resident_bytes() const;
  // So many bytes more of the cache's limit are used up elsewhere. Nodes keep a quarter of it whatever comes.
  void charge(std::size_t bytes) noexcept;

  // Drops clean nodes not used lately until the cache limit holds. Cheap when it holds already.
  void evict();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::store
