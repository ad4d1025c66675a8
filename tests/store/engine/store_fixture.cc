#include "tests/store/engine/store_fixture.h"

#include <gtest/gtest.h>

#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fs/format/checksum.h"
#include "mkfs/format_volume.h"

namespace ashlar::store::testing {
namespace {

// Marks an item whose value names a data block and its checksum.
constexpr format::ItemKind kDataKind = format::ItemKind::extent;

struct DataValue {
  format::le64 block;
  format::le32 checksum;
};

void check_data(Store& store, blockio::IoQueue& io, const std::vector<std::byte>& value) {
  DataValue data;
  ASSERT_EQ(value.size(), sizeof data);
  std::memcpy(&data, value.data(), sizeof data);
  blockio::AlignedBuffer buffer(store.layout().block_size());
  ASSERT_TRUE(store.settle(io, BlockRun{BlockNumber{data.block}, 1}));
  blockio::IoOp read = blockio::IoOp::read(store.layout().byte_offset(BlockNumber{data.block}), buffer.span());
  ASSERT_TRUE(io.run(read));
  EXPECT_EQ(format::crc32c(buffer.span()), data.checksum.value()) << "block " << data.block.value();
}

}  // namespace

blockio::MemoryImage formatted_image(std::uint32_t block_size, std::uint32_t node_size) {
  blockio::MemoryDevice device(kVolumeBytes);
  const std::unique_ptr<blockio::IoQueue> io = open_queue(device);
  mkfs::FormatOptions options;
  options.block_size = block_size;
  options.node_size = node_size;
  const auto outcome = mkfs::format_volume(device, *io, options);
  EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message());
  return device.snapshot();
}

std::unique_ptr<blockio::IoQueue> open_queue(blockio::BlockDevice& device) {
  auto queue = device.open_queue({});
  EXPECT_TRUE(queue);
  return *std::move(queue);
}

StoreOptions test_options() {
  StoreOptions options;
  options.background = false;
  options.cache_bytes = 64U << 10;
  return options;
}

Contents contents_of(Store& store, blockio::IoQueue& io) {
  Contents contents;
  const Status scanned = store.scan(io, format::kLowestKey, format::kHighestKey,
                                    [&](const format::Key& key, std::span<const std::byte> value) {
                                      contents.emplace(key, std::vector<std::byte>(value.begin(), value.end()));
                                      return true;
                                    });
  EXPECT_TRUE(scanned) << (scanned ? "" : scanned.error().message());
  for (const auto& [key, value] : contents) {
    if (key.kind == kDataKind) check_data(store, io, value);
  }
  return contents;
}

format::Key Workload::random_key() {
  static constexpr format::ItemKind kKinds[] = {format::ItemKind::inode, format::ItemKind::dirent,
                                                format::ItemKind::inline_data};
  return format::Key{InodeNumber{2 + pick(40)}, kKinds[pick(3)], pick(6)};
}

// A block with data, on the device or in the store's hands.
Result<Allocation> Workload::write_block(Store& store, blockio::IoQueue& io, blockio::AlignedBuffer& buffer) {
  if (pick(2) == 0) {
    const iovec piece{buffer.data(), buffer.size()};
    Allocation gathered = TRY(store.write_behind(io, {&piece, 1}, 1));
    if (gathered.run().count != 0) return gathered;
  }
  Allocation allocation = TRY(store.allocate(io, AllocationRequest{}));
  blockio::IoOp write = blockio::IoOp::write(store.layout().byte_offset(allocation.run().first), buffer.span());
  TRY(io.run(write));
  return allocation;
}

Status Workload::add_data(Store& store, blockio::IoQueue& io, Transaction& transaction, Contents& next) {
  blockio::AlignedBuffer buffer(store.layout().block_size());
  const std::uint64_t pattern = random_();
  for (std::size_t i = 0; i < buffer.size(); i += sizeof pattern)
    std::memcpy(buffer.data() + i, &pattern, sizeof pattern);
  Allocation allocation = TRY(write_block(store, io, buffer));
  const BlockRun run = allocation.run();

  const DataValue data{run.first.value(), format::crc32c(buffer.span())};
  const format::Key key{InodeNumber{2 + pick(40)}, kDataKind, pick(8)};
  std::vector<std::byte> value(sizeof data);
  std::memcpy(value.data(), &data, sizeof data);
  if (const auto old = next.find(key); old != next.end()) release_data(transaction, old->second);
  transaction.put(key, value);
  transaction.adopt(std::move(allocation));
  transaction.witness(run, std::span(&data.checksum, 1));
  next[key] = std::move(value);
  return {};
}

void Workload::release_data(Transaction& transaction, const std::vector<std::byte>& value) {
  DataValue data;
  std::memcpy(&data, value.data(), sizeof data);
  transaction.free(BlockRun{BlockNumber{data.block}, 1});
}

Status Workload::step(Store& store, blockio::IoQueue& io) {
  Contents next = model_;
  Transaction transaction;
  const std::size_t operations = 1 + pick(6);
  for (std::size_t i = 0; i < operations; ++i) {
    const format::Key key = random_key();
    if (pick(3) == 0) {
      transaction.erase(key);
      next.erase(key);
    } else {
      std::vector<std::byte> value(pick(format::max_value_size(store.layout().node_size()) + 1),
                                   static_cast<std::byte>(pick(256)));
      transaction.put(key, value);
      next[key] = std::move(value);
    }
  }
  if (pick(2) == 0) TRY(add_data(store, io, transaction, next));
  last_lsn_ = TRY(store.commit(io, transaction));
  model_ = std::move(next);
  return {};
}

}  // namespace ashlar::store::testing
