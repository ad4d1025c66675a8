#include "tests/store/allocator/allocator_fixture.h"

#include <cstring>

#include "mkfs/format_volume.h"

namespace ashlar::store {

void AllocatorFixture::make(const VolumeShape& shape) {
  device_ = std::make_unique<blockio::MemoryDevice>(shape.bytes);
  auto queue = device_->open_queue({});
  ASSERT_TRUE(queue.has_value());
  io_ = std::move(*queue);
  mkfs::FormatOptions options;
  options.block_size = shape.block_size;
  options.node_size = shape.node_size;
  const auto made = mkfs::format_volume(*device_, *io_, options);
  ASSERT_TRUE(made.has_value()) << made.error().message();
  superblock_ = made->superblock;
  layout_ = made->layout;
  reopen();
}

Result<std::unique_ptr<Allocator>> AllocatorFixture::try_open(bool read_only) {
  return Allocator::open(*io_, superblock_, read_only);
}

void AllocatorFixture::reopen(bool read_only) {
  allocator_.reset();
  auto opened = try_open(read_only);
  ASSERT_TRUE(opened.has_value()) << opened.error().message();
  allocator_ = std::move(*opened);
}

Generation AllocatorFixture::begin_checkpoint() {
  running_ = Generation{superblock_.generation} + 1;
  allocator_->freeze(running_);
  return running_;
}

void AllocatorFixture::finish_checkpoint(const FrozenTotals& totals) {
  superblock_.generation = running_.value();
  superblock_.free_blocks = totals.free_blocks;
  superblock_.group_table_crc = totals.group_table_crc;
  allocator_->finish_frozen();
  allocator_->release_freed(running_);
}

void AllocatorFixture::checkpoint() {
  begin_checkpoint();
  const auto totals = allocator_->write_frozen(*io_);
  ASSERT_TRUE(totals.has_value()) << totals.error().message();
  finish_checkpoint(*totals);
}

std::optional<BlockRun> AllocatorFixture::allocate(const AllocationRequest& request) {
  const auto run = allocator_->allocate(*io_, request);
  if (run) return *run;
  EXPECT_EQ(run.error().code(), ErrorCode::no_space) << run.error().message();
  return std::nullopt;
}

std::optional<BlockRun> AllocatorFixture::allocate(std::uint64_t minimum, std::uint64_t maximum, BlockNumber goal) {
  AllocationRequest request;
  request.minimum = minimum;
  request.maximum = maximum;
  request.goal = goal;
  return allocate(request);
}

void AllocatorFixture::commit_allocate(BlockRun run) {
  ASSERT_TRUE(allocator_->pin(*io_, std::span(&run, 1)).has_value());
  allocator_->commit(std::span(&run, 1), {});
  allocator_->unpin(std::span(&run, 1));
}

void AllocatorFixture::commit_free(BlockRun run) {
  ASSERT_TRUE(allocator_->pin(*io_, std::span(&run, 1)).has_value());
  allocator_->commit({}, std::span(&run, 1));
  allocator_->unpin(std::span(&run, 1));
}

BlockRun AllocatorFixture::occupy(std::uint64_t count, BlockNumber goal) {
  const auto run = allocate(count, count, goal);
  EXPECT_TRUE(run.has_value());
  if (!run) return {};
  commit_allocate(*run);
  return *run;
}

std::uint64_t AllocatorFixture::table_block_offset(std::uint32_t index, std::size_t copy) {
  std::uint64_t best_offset = 0;
  std::uint64_t best_generation = 0;
  for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
    const std::uint64_t offset = layout_->byte_offset(layout_->group_table_block(index, slot, copy));
    const auto block = peek(offset, layout_->block_size());
    format::GroupTableHeader header;
    std::memcpy(&header, block.data(), sizeof header);
    if (!format::validate_group_table_block(block, superblock_.uuid, index, Generation{superblock_.generation}))
      continue;
    if (header.generation < best_generation) continue;
    best_generation = header.generation;
    best_offset = offset;
  }
  EXPECT_NE(best_offset, 0U);
  return best_offset;
}

format::GroupEntry AllocatorFixture::entry_on_device(std::uint32_t group) {
  const std::uint32_t per_block = layout_->group_table_entries_per_block();
  const std::uint64_t offset = table_block_offset(group / per_block, 0);
  const auto bytes = peek(offset + sizeof(format::GroupTableHeader) + group % per_block * sizeof(format::GroupEntry),
                          sizeof(format::GroupEntry));
  format::GroupEntry entry;
  std::memcpy(&entry, bytes.data(), sizeof entry);
  return entry;
}

std::vector<bool> AllocatorFixture::bitmap_on_device(std::uint32_t group, std::size_t copy) {
  const format::GroupEntry entry = entry_on_device(group);
  std::vector<std::byte> block(layout_->block_size());
  if ((entry.flags & format::kGroupInitialised) == 0) {
    layout_->initial_bitmap(group, block);
  } else {
    const std::size_t slot = (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
    block = peek(layout_->byte_offset(layout_->bitmap_block(group, slot, copy)), block.size());
  }
  std::vector<bool> bits(layout_->group_blocks());
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = (block[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0};
  return bits;
}

std::vector<std::byte> AllocatorFixture::peek(std::uint64_t offset, std::size_t size) const {
  std::vector<std::byte> bytes(size);
  device_->snapshot().read(offset, bytes);
  return bytes;
}

void AllocatorFixture::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  blockio::MemoryImage image = device_->snapshot();
  image.write(offset, bytes);
  device_->restore(std::move(image));
}

void AllocatorFixture::flip_bit(std::uint64_t offset) {
  auto byte = peek(offset, 1);
  byte[0] ^= std::byte{4};
  overwrite(offset, byte);
}

}  // namespace ashlar::store
