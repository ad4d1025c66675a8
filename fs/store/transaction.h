// A transaction: puts, erases, blocks taken and given back, to become true together or not at all.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstddef>
#include <span>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/items.h"
#include "fs/format/key.h"
#include "fs/store/log/record_builder.h"

namespace ashlar::store {

class Store;

// Blocks taken and not yet committed; given back unless a transaction adopts them. Move-only. Outlived by its store.
class Allocation {
 public:
  Allocation() = default;
  Allocation(Store& store, BlockRun run) noexcept : store_(&store), run_(run) {}
  ~Allocation();
  Allocation(Allocation&& other) noexcept;
  Allocation& operator=(Allocation&& other) noexcept;
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;

  [[nodiscard]] BlockRun run() const noexcept { return run_; }
  // The first `count` of its blocks become an allocation of their own.
  [[nodiscard]] Allocation take_first(std::uint64_t count) noexcept;

 private:
  friend class Store;
  friend class Transaction;
  Store* store_ = nullptr;
  BlockRun run_;
};

// Places that a transaction to come needs for tree nodes; see Store::claim_space(). Move-only. Outlived by its store.
class SpaceClaim {
 public:
  SpaceClaim() = default;
  SpaceClaim(Store& store, std::size_t nodes) noexcept : store_(&store), nodes_(nodes) {}
  ~SpaceClaim() { reset(); }
  SpaceClaim(SpaceClaim&& other) noexcept;
  SpaceClaim& operator=(SpaceClaim&& other) noexcept;
  SpaceClaim(const SpaceClaim&) = delete;
  SpaceClaim& operator=(const SpaceClaim&) = delete;

  void reset() noexcept;
  [[nodiscard]] std::size_t nodes() const noexcept { return nodes_; }

 private:
  Store* store_ = nullptr;
  std::size_t nodes_ = 0;
};

// Built by one thread, without side effects: nothing happens before Store::commit. Destroyed uncommitted, it never was.
// The caller holds what locks make its reads and this commit one (two transactions that write the same key must be
// ordered by their callers).
class Transaction {
 public:
  Transaction() = default;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Value, in one or two parts, at most format::max_value_size(node size).
  void put(const format::Key& key, std::span<const std::byte> value, std::span<const std::byte> rest = {}) {
    record_.put(key, value, rest);
  }
  template <typename Item>
  requires std::is_trivially_copyable_v<Item>
  void put_item(const format::Key& key, const Item& item) { record_.put(key, std::as_bytes(std::span(&item, 1))); }
  void erase(const format::Key& key) { record_.erase(key); }

  // The blocks belong to the volume once this commits.
  void adopt(Allocation allocation);
  // A part of an allocation is used, the rest given back at commit.
  void adopt_part(Allocation allocation, BlockRun used);
  void free(BlockRun run);

  // The data already written to `run` has these checksums (one a block). After a crash the transaction counts only if
  // it has.
  void witness(BlockRun run, std::span<const format::le32> checksums) { record_.witness(run, checksums); }
  void counter(format::Counter counter, std::uint64_t at_least) { record_.counter(counter, at_least); }

  [[nodiscard]] bool empty() const noexcept { return record_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return record_.size(); }  // bytes of log
  void clear();

 private:
  friend class Store;
  RecordBuilder record_;
  static constexpr std::size_t kFewRuns = 4;

  absl::InlinedVector<Allocation, kFewRuns> adopted_;
  absl::InlinedVector<BlockRun, kFewRuns> freed_;
  SpaceClaim claim_;
};

}  // namespace ashlar::store
