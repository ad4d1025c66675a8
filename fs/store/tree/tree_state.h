// What the parts of the tree share: reading, applying, checkpoint and eviction are the files tree_*.cc.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "fs/base/fair_shared_mutex.h"
#include "fs/store/recent_places.h"
#include "fs/store/tree/node_cache.h"
#include "fs/store/tree/read_ahead_claims.h"
#include "fs/store/tree/tree.h"

namespace ashlar::format {
struct LogOpView;
}

namespace ashlar::store {

// A node that an access met and that is not in memory: where it lies, and a key that leads to it (its level is the
// pointer's).
struct Missing {
  format::NodePointer pointer;
  format::Key key;
};

// The child at `index`, marked as used; null: `missing` is set.
[[nodiscard]] const Node* resident_child(const Node& node, std::uint32_t index, Missing& missing);

// `node` null: not in memory, lies at `pointer`. Otherwise the node's own pointer counts.
struct RootSlot {
  NodeRef node;
  format::NodePointer pointer;
};

// Reads that one access (of one key, or one step of a scan) may need before it is given up: far above what a tree's
// height and eviction by others can explain.
inline constexpr unsigned kMaxLoadsPerAccess = 10'000;

// Clean nodes kept however small the cache: those that one access needs at a time (see ready_for), on the highest tree.
inline constexpr std::size_t kLeastCleanNodes = 3 * (format::kMaxTreeLevel + 1);

// Of the cache's limit, one part in so many that nobody else is given.
inline constexpr std::size_t kLeastShareOfNodes = 4;

// A tree of nodes at least half full cannot be higher on any volume; above it no change is accepted, so that a hostile
// tree cannot be grown past format::kMaxTreeLevel.
inline constexpr std::uint8_t kTallestWritableLevel = 11;

struct TreeState {
  TreeState(const TreeConfig& tree_config, NodeSource& node_source, const format::NodePointer& root_pointer,
            Generation durable_generation, const TreeTotals& tree_totals);

  // Runs `attempt(Missing&)` under the shared lock, again and again until it returns true, loading what it misses in
  // between.
  template <typename Attempt>
  [[nodiscard]] Status access(blockio::IoQueue& io, Attempt&& attempt) {
    for (unsigned loads = 0; loads < kMaxLoadsPerAccess; ++loads) {
      Missing missing;
      {
        const std::shared_lock guard(lock);
        if (attempt(missing)) return {};
      }
      if (auto status = load_missing(io, missing); !status) return status;
    }
    return fail(ErrorCode::io_error, "tree nodes are evicted faster than they are loaded: the cache is too small");
  }

  // The rest is called with the lock held, exclusively where it changes anything, unless it says otherwise.

  [[nodiscard]] const Node* root_node(Missing& missing) const;  // null: `missing` is set
  // The leaf whose range holds `key`; null: `missing` is set.
  [[nodiscard]] const Node* find_leaf(const format::Key& key, Missing& missing) const;
  // Whether everything is in memory that applying `op` needs.
  [[nodiscard]] bool ready_for(const format::LogOpView& op, Missing& missing) const;
  [[nodiscard]] std::uint8_t root_level() const noexcept { return root.node ? root.node->level() : root.pointer.level; }

  // Reads a node and puts it into its place, if that still wants it; where leaves are missed one near the other, what
  // is missing around it too. Takes the lock itself, not during I/O.
  [[nodiscard]] Status load_missing(blockio::IoQueue& io, const Missing& missing);

  [[nodiscard]] std::size_t cache_limit() const noexcept {
    const std::size_t least = config.cache_bytes / kLeastShareOfNodes;
    return config.cache_bytes - std::min(charged_bytes.load(std::memory_order_relaxed), config.cache_bytes - least);
  }
  [[nodiscard]] bool over_limit() const noexcept {
    return cache.bytes() > cache_limit() && cache.count() > live_dirty + frozen.dirty + kLeastCleanNodes;
  }
  // Lets the clock pass up to `examine` nodes, dropping what was not used since it passed last, until the cache limit
  // holds.
  void run_clock(std::size_t examine);

  TreeConfig config;
  NodeSource& source;
  mutable FairSharedMutex lock;
  NodeImages images;         // outlives the nodes in
  NodeCache cache;           // this and the roots below
  RecentPlaces leaf_misses;  // children of a parent, by index
  ReadAheadClaims read_ahead_claims;
  std::atomic<std::size_t> charged_bytes{0};  // of the cache's limit, by others

  RootSlot root;
  Generation current;  // nodes of this generation belong to the live tree alone and may be changed
  Generation durable;  // nodes up to here lie on the device
  TreeTotals totals;
  std::uint64_t live_dirty = 0;            // nodes of generation `current`
  std::vector<format::NodePointer> freed;  // durable nodes that the live tree has dropped since `frozen`
  std::vector<NodeRef> replaced;           // the same of frozen nodes, which may not have addresses yet
  bool eviction_paused = false;            // an apply() found its nodes evicted: let it have them next time
  blockio::AlignedBuffer scratch;          // for compaction

  struct Frozen {
    RootSlot root;
    Generation generation;
    TreeTotals totals;
    std::uint64_t dirty = 0;
    std::vector<format::NodePointer> freed;
  };
  Frozen frozen;

 private:
  // The place that waits for a missing node. `parent` null: the root.
  struct Slot {
    Node* parent = nullptr;
    std::uint32_t index = 0;
    format::Key lowest = format::kLowestKey;
    std::optional<format::Key> limit;  // keys are below it
  };
  [[nodiscard]] std::optional<Slot> find_slot(const Missing& missing) const;
  [[nodiscard]] static Status check_fits(const Node& node, const Slot& slot);
  [[nodiscard]] Status install(NodeRef& node, const Missing& missing);
  // Takes the lock.
  [[nodiscard]] std::vector<Missing> missing_around(const Missing& leaf, ReadAheadClaims::Claimed& claimed);
  [[nodiscard]] bool load_together(blockio::IoQueue& io, const Missing& needed, std::span<const Missing> others);
  [[nodiscard]] bool neighbours_ready(const format::Key& key, Missing& missing) const;
  void evict_node(Node& node);
};

struct Tree::State : TreeState {
  using TreeState::TreeState;
};

}  // namespace ashlar::store
