// What the store's tests share: a small volume in memory, a random workload, and the model it is compared with.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/memory_device.h"
#include "fs/store/store.h"

namespace ashlar::store::testing {

inline constexpr std::uint64_t kVolumeBytes = 16U << 20;

using Contents = std::map<format::Key, std::vector<std::byte>>;

// An empty volume with nodes so small that splits and merges happen all the time.
[[nodiscard]] blockio::MemoryImage formatted_image(std::uint32_t block_size = 512, std::uint32_t node_size = 1024);

[[nodiscard]] std::unique_ptr<blockio::IoQueue> open_queue(blockio::BlockDevice& device);

[[nodiscard]] StoreOptions test_options();

// All items. Items made by Workload::write_data also have their block read and its checksum compared; one that does not
// hold is reported as a test failure.
[[nodiscard]] Contents contents_of(Store& store, blockio::IoQueue& io);

// Random transactions on a store and the same on a model.
class Workload {
 public:
  explicit Workload(std::uint64_t seed) : random_(seed) {}

  // Commits one random transaction; true when it took. The model follows.
  [[nodiscard]] Status step(Store& store, blockio::IoQueue& io);
  // The store already has contents: begin from there.
  void adopt(Contents contents) { model_ = std::move(contents); }

  [[nodiscard]] const Contents& model() const noexcept { return model_; }
  [[nodiscard]] std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  [[nodiscard]] Lsn last_lsn() const noexcept { return last_lsn_; }

 private:
  [[nodiscard]] format::Key random_key();
  [[nodiscard]] Result<Allocation> write_block(Store& store, blockio::IoQueue& io, blockio::AlignedBuffer& buffer);
  [[nodiscard]] Status add_data(Store& store, blockio::IoQueue& io, Transaction& transaction, Contents& next);
  void release_data(Transaction& transaction, const std::vector<std::byte>& value);

  std::mt19937_64 random_;
  Contents model_;
  Lsn last_lsn_;
};

}  // namespace ashlar::store::testing
