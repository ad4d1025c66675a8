// Where a tree under test keeps its nodes: a device in memory that knows which nodes are in use, and notices misuse.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "fs/store/tree/tree.h"

namespace ashlar::store {

inline constexpr std::uint8_t kTestUuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

// Thread-safe, but for the members that a test sets up.
class MemoryNodes final : public NodeSource, public NodeSink {
 public:
  [[nodiscard]] Status read(blockio::IoQueue& io, const format::NodePointer& pointer,
                            std::span<std::byte> image) override;
  void read_ahead(blockio::IoQueue& io, std::span<NodeRead> reads) override;
  [[nodiscard]] Result<format::NodePointer> place(std::uint8_t level) override;
  [[nodiscard]] Status write(const format::NodePointer& pointer, std::span<const std::byte> image) override;

  // The checkpoint that freed them is durable: the addresses are handed out again, the latest first.
  void release(const std::vector<format::NodePointer>& freed);

  // Puts an image of the test's own making (sealed here) at addresses of its own; the pointer to it.
  format::NodePointer plant(std::vector<std::byte> image);

  // Walks what is below `root` as it is on the device and checks everything a tree promises; what it holds.
  struct Census {
    TreeTotals totals;
    std::map<format::Key, std::vector<std::byte>> items;
  };
  [[nodiscard]] Census walk(const format::NodePointer& root);

  [[nodiscard]] std::size_t live_nodes() const;
  [[nodiscard]] std::size_t reads() const;
  [[nodiscard]] std::size_t writes() const;
  [[nodiscard]] std::vector<std::string> complaints() const;

  std::function<void()> before_place;   // called without the lock
  std::function<Status()> before_read;  // likewise
  std::size_t batches = 0;              // of nodes read ahead
  bool validates = true;                // false: believes what it reads, so that the tree's own checks are seen
  bool freed_reads_are_misuse = true;   // false: an error like any other, as with several threads

 private:
  using Address = std::uint64_t;

  void complain(std::string what) { complaints_.push_back(std::move(what)); }
  void check_children(std::span<const std::byte> image);
  void walk_node(const format::NodePointer& pointer, const format::Key& lowest, const format::Key* limit, bool is_root,
                 Census& census);

  mutable std::mutex mutex_;
  std::map<Address, std::vector<std::byte>> images_;  // by the first copy's address
  std::set<Address> in_use_;                          // both copies' addresses
  std::vector<Address> free_;                         // even addresses; the other copy lies at the next
  Address next_ = 2;
  std::size_t reads_ = 0;
  std::size_t writes_ = 0;
  std::vector<std::string> complaints_;
};

}  // namespace ashlar::store
