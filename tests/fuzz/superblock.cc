#include <algorithm>

#include "blockio/memory_device.h"
#include "fs/format/layout.h"
#include "mkfs/format_volume.h"
#include "tests/fuzz/harness.h"

namespace ashlar::fuzz {
namespace {

constexpr std::uint64_t kDeviceBytes = 1ULL << 40;

bool inside(const format::Layout& layout, BlockRun run) {
  return run.first.value() < layout.block_count() && run.count <= layout.block_count() - run.first.value();
}

void run(std::span<const std::uint8_t> input) {
  format::Superblock superblock{};
  const std::span<const std::byte> bytes = std::as_bytes(input.first(std::min(input.size(), sizeof superblock)));
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(&superblock, 1)).begin());
  superblock.magic = format::kSuperblockMagic;
  format::seal(superblock);
  if (!format::validate(superblock, kDeviceBytes, true)) return;
  const format::Layout layout = format::Layout::of(superblock);
  FUZZ_CHECK(layout.block_count() <= kDeviceBytes / layout.block_size());
  FUZZ_CHECK(inside(layout, layout.log()));
  const std::uint32_t last = layout.group_count() - 1;
  for (const std::uint32_t group : {0U, last / 2, last}) {
    FUZZ_CHECK(layout.blocks_in_group(group) <= layout.group_blocks());
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      for (std::size_t copy = 0; copy < format::kCopies; ++copy)
        FUZZ_CHECK(inside(layout, {layout.bitmap_block(group, slot, copy), 1}));
    }
    std::vector<std::byte> bitmap(layout.block_size());
    FUZZ_CHECK(layout.initial_bitmap(group, bitmap) == layout.initial_free_blocks(group));
  }
  for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
    for (std::size_t copy = 0; copy < format::kCopies; ++copy)
      FUZZ_CHECK(inside(layout, {layout.group_table_block(layout.group_table_blocks() - 1, slot, copy), 1}));
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const std::uint32_t block_size : {4096U, 16384U}) {
    for (const std::uint64_t bytes : {64ULL << 20, 1ULL << 30, 1ULL << 39}) {
      blockio::Geometry geometry;
      geometry.size = kDeviceBytes;
      mkfs::FormatOptions options;
      options.block_size = block_size;
      options.volume_bytes = bytes;
      const Result<mkfs::FormatOutcome> plan = mkfs::plan_volume(geometry, options);
      FUZZ_CHECK(plan.has_value());
      const auto* const begin = reinterpret_cast<const std::uint8_t*>(&plan->superblock);
      all.emplace_back(begin, begin + 464);
    }
  }
  return all;
}

}  // namespace

const Harness kSuperblockHarness = {"superblock", run, seeds};

}  // namespace ashlar::fuzz
