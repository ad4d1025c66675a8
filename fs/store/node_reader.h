// Reads tree nodes from the device, answering a bad copy from the good one.
#pragma once

#include <atomic>
#include <cstdint>

#include "blockio/io_queue.h"
#include "fs/format/layout.h"
#include "fs/store/checked_copies.h"
#include "fs/store/current_layout.h"
#include "fs/store/tree/node_source.h"

namespace ashlar::store {

// Thread-safe; no state but counters.
class NodeReader final : public NodeSource {
 public:
  // `heal`: rewrite a bad first copy (not on a read-only volume), unless the pointer leads where no node can be.
  // The layout outlives it.
  NodeReader(const CurrentLayout& layout, const std::uint8_t (&uuid)[16], bool heal) noexcept;

  [[nodiscard]] Status read(blockio::IoQueue& io, const format::NodePointer& pointer,
                            std::span<std::byte> image) override;
  void read_ahead(blockio::IoQueue& io, std::span<NodeRead> reads) override;

  // Reads both copies at once and, as read() does, rewrites a bad one from a good one. `image` holds the node when one
  // is good; `second` is room for the other.
  [[nodiscard]] CheckedCopies check_copies(blockio::IoQueue& io, const format::NodePointer& pointer,
                                           std::span<std::byte> image, std::span<std::byte> second);

  [[nodiscard]] std::uint64_t nodes_read() const noexcept { return nodes_read_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t nodes_healed() const noexcept { return nodes_healed_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t bad_copies() const noexcept { return bad_copies_.load(std::memory_order_relaxed); }
  // Both copies bad.
  [[nodiscard]] std::uint64_t nodes_lost() const noexcept { return nodes_lost_.load(std::memory_order_relaxed); }
  // After a failed log or checkpoint nothing more is written.
  void stop_healing() noexcept { heal_.store(false, std::memory_order_relaxed); }

 private:
  [[nodiscard]] Status read_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                                 std::span<std::byte> image) const;
  [[nodiscard]] bool may_rewrite(const format::NodePointer& pointer) const;
  [[nodiscard]] bool lies_in_volume(const format::NodePointer& pointer, std::size_t copy) const noexcept;
  void heal_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                 std::span<const std::byte> image);

  [[nodiscard]] const format::Layout& layout() const noexcept { return layout_.get(); }

  const CurrentLayout& layout_;
  std::uint8_t uuid_[16];
  std::atomic<bool> heal_;
  std::atomic<std::uint64_t> nodes_read_{0};
  std::atomic<std::uint64_t> nodes_healed_{0};
  std::atomic<std::uint64_t> bad_copies_{0};
  std::atomic<std::uint64_t> nodes_lost_{0};
};

}  // namespace ashlar::store
