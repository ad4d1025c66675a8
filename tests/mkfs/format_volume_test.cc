#include "mkfs/format_volume.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "blockio/faulty_device.h"
#include "blockio/memory_device.h"
#include "blockio/recording_device.h"
#include "fs/format/checksum.h"
#include "fs/format/items.h"
#include "fs/format/node.h"

namespace ashlar::mkfs {
namespace {

using blockio::MemoryDevice;
using blockio::MemoryDeviceOptions;
using blockio::MemoryImage;

std::vector<std::byte> read(const MemoryImage& image, std::uint64_t offset, std::size_t size) {
  std::vector<std::byte> bytes(size);
  image.read(offset, bytes);
  return bytes;
}

format::Superblock superblock_at(const MemoryImage& image, std::size_t slot, std::size_t copy) {
  format::Superblock superblock;
  image.read(format::superblock_offset(slot, copy), std::as_writable_bytes(std::span(&superblock, 1)));
  return superblock;
}

std::array<format::Superblock, 4> superblocks(const MemoryImage& image) {
  return {superblock_at(image, 0, 0), superblock_at(image, 1, 0), superblock_at(image, 0, 1),
          superblock_at(image, 1, 1)};
}

Result<FormatOutcome> format(blockio::BlockDevice& device, const FormatOptions& options = {}) {
  const auto io = TRY(device.open_queue({}));
  return format_volume(device, *io, options);
}

// Everything of an empty volume, read back by nothing but the format layer.
void expect_empty_volume(const MemoryImage& image) {
  const auto copies = superblocks(image);
  const auto chosen = format::choose_superblock(copies, image.size(), true);
  ASSERT_TRUE(chosen) << chosen.error().message();
  const format::Superblock& superblock = copies[*chosen];
  EXPECT_EQ(superblock.generation, 1U);
  EXPECT_EQ(superblock.flags, format::kCleanlyUnmounted);
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    EXPECT_TRUE(format::validate(superblock_at(image, 1, copy), image.size(), true)) << copy;
    EXPECT_EQ(superblock_at(image, 0, copy).magic, 0U) << copy;
  }
  const format::Layout layout = format::Layout::of(superblock);

  // The root leaf, twice.
  const format::NodePointer root = format::load(superblock.root);
  for (const BlockNumber address : root.address) {
    const auto node = read(image, layout.byte_offset(address), layout.node_size());
    const Status status = format::validate_node(node, superblock.uuid, &root);
    ASSERT_TRUE(status) << status.error().message();
    const auto items = format::leaf_items(node);
    ASSERT_EQ(items.size(), 1U);
    EXPECT_EQ(format::key_of(items[0]), (format::Key{kRootInode, format::ItemKind::inode, 0}));
    const auto inode = format::parse_inode(format::value_of(node, items[0]));
    ASSERT_TRUE(inode);
    EXPECT_EQ(inode->mode, static_cast<std::uint32_t>(S_IFDIR | 0755));
    EXPECT_EQ(inode->links, 2U);
    EXPECT_EQ(inode->parent, kRootInode.value());
  }

  // The group table, twice, and every bitmap it vouches for.
  const std::size_t slot = 1;
  std::uint32_t table_crc = 0;
  std::uint64_t free_blocks = 0;
  for (std::uint32_t index = 0; index < layout.group_table_blocks(); ++index) {
    const auto block = read(image, layout.byte_offset(layout.group_table_block(index, slot, 0)), layout.block_size());
    EXPECT_EQ(read(image, layout.byte_offset(layout.group_table_block(index, slot, 1)), layout.block_size()), block);
    EXPECT_TRUE(format::validate_group_table_block(block, superblock.uuid, index, Generation{1}));
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      const auto other = read(image, layout.byte_offset(layout.group_table_block(index, 0, copy)), layout.block_size());
      EXPECT_FALSE(format::validate_group_table_block(other, superblock.uuid, index, Generation{~0ULL}));
    }
    const auto& header = *reinterpret_cast<const format::GroupTableHeader*>(block.data());
    table_crc = format::crc32c(std::as_bytes(std::span(&header.crc, 1)), table_crc);
    const auto* entries = reinterpret_cast<const format::GroupEntry*>(block.data() + sizeof header);
    for (std::uint32_t i = 0; i < header.count; ++i) {
      const std::uint32_t group = index * layout.group_table_entries_per_block() + i;
      free_blocks += entries[i].free_blocks;
      std::vector<std::byte> expected(layout.block_size());
      std::uint32_t expected_free = layout.initial_bitmap(group, expected);
      for (const BlockNumber address : root.address) {
        for (std::uint32_t j = 0; j < layout.node_blocks(); ++j) {
          const std::uint64_t block_number = address.value() + j;
          if (layout.group_of(BlockNumber{block_number}) != group) continue;
          const std::uint64_t bit = block_number - layout.group_first(group).value();
          expected[bit / 8] |= std::byte{1} << (bit % 8);
          --expected_free;
        }
      }
      EXPECT_EQ(entries[i].free_blocks, expected_free) << group;
      if (entries[i].flags == 0) {
        std::vector<std::byte> untouched(layout.block_size());
        static_cast<void>(layout.initial_bitmap(group, untouched));
        EXPECT_EQ(expected, untouched) << group;
        continue;
      }
      EXPECT_EQ(entries[i].flags, format::kGroupInitialised);
      EXPECT_EQ(entries[i].bitmap_crc, format::crc32c(expected));
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        EXPECT_EQ(read(image, layout.byte_offset(layout.bitmap_block(group, 0, copy)), layout.block_size()), expected);
      }
    }
  }
  EXPECT_EQ(table_crc, superblock.group_table_crc);
  EXPECT_EQ(free_blocks, superblock.free_blocks);
}

TEST(FormatVolumeTest, AnEmptyVolumeIsSoundAtEverySize) {
  for (const std::uint64_t mebibytes : {16U, 17U, 100U, 300U}) {
    for (std::uint32_t block_size = 512; block_size <= 65536; block_size *= 2) {
      SCOPED_TRACE(::testing::Message() << mebibytes << " MiB, blocks of " << block_size);
      MemoryDevice device((mebibytes << 20) + 512);
      FormatOptions options;
      options.block_size = block_size;
      options.node_size = std::max(block_size, 1024U);
      const auto outcome = format(device, options);
      ASSERT_TRUE(outcome) << outcome.error().message();
      expect_empty_volume(device.snapshot());
    }
  }
}

TEST(FormatVolumeTest, DefaultsAndOptionsReachTheSuperblock) {
  MemoryDevice device(64U << 20);
  ASSERT_TRUE(format(device));
  format::Superblock superblock = superblock_at(device.snapshot(), 1, 0);
  EXPECT_EQ(superblock.block_size, 4096U);
  EXPECT_EQ(superblock.node_size, 16384U);
  EXPECT_EQ(superblock.uuid[6] >> 4, 4);
  EXPECT_NE(superblock.log_epoch, 0U);
  EXPECT_LT(superblock.log_epoch, 1ULL << 63);
  EXPECT_EQ(superblock.next_inode, 2U);

  FormatOptions options;
  options.label = "data";
  options.uuid = Uuid{7, 7, 7};
  options.volume_bytes = 32U << 20;
  options.compatible = 1ULL << 40;
  ASSERT_TRUE(format(device, options));
  superblock = superblock_at(device.snapshot(), 1, 1);
  EXPECT_STREQ(superblock.label, "data");
  EXPECT_EQ(superblock.uuid[1], 7);
  EXPECT_EQ(superblock.block_count, (32U << 20) / 4096U);
  EXPECT_EQ(superblock.compatible, 1ULL << 40);
  expect_empty_volume(device.snapshot());
}

TEST(FormatVolumeTest, TwoVolumesShareNothingSecret) {
  MemoryDevice device(64U << 20);
  const auto first = format(device);
  const auto second = format(device);
  ASSERT_TRUE(first && second);
  EXPECT_NE(std::memcmp(first->superblock.uuid, second->superblock.uuid, 16), 0);
  EXPECT_NE(std::memcmp(first->superblock.hash_seed, second->superblock.hash_seed, 16), 0);
  EXPECT_NE(first->superblock.log_epoch.value(), second->superblock.log_epoch.value());
}

TEST(FormatVolumeTest, NothingOfWhatWasThereShowsThrough) {
  MemoryImage image(40U << 20);
  const std::vector<std::byte> garbage(1U << 20, std::byte{0xa7});
  for (std::uint64_t offset = 0; offset < image.size(); offset += garbage.size()) image.write(offset, garbage);
  MemoryDevice device(image);
  FormatOptions options;
  options.uuid = Uuid{1};
  ASSERT_TRUE(format(device, options));
  expect_empty_volume(device.snapshot());

  // A later generation of a volume with the same UUID must not be found either.
  format::Superblock old = superblock_at(device.snapshot(), 1, 0);
  old.generation = 8;
  format::seal(old);
  image = device.snapshot();
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    image.write(format::superblock_offset(0, copy), std::as_bytes(std::span(&old, 1)));
  }
  const format::Layout layout = format::Layout::of(old);
  auto table = read(image, layout.byte_offset(layout.group_table_block(0, 1, 0)), layout.block_size());
  reinterpret_cast<format::GroupTableHeader*>(table.data())->generation = 8;
  format::seal_group_table_block(table);
  image.write(layout.byte_offset(layout.group_table_block(0, 0, 1)), table);
  device.restore(image);
  ASSERT_TRUE(format(device, options));
  expect_empty_volume(device.snapshot());
}

TEST(FormatVolumeTest, WhatCannotBeDoneIsRefusedAndChangesNothing) {
  const auto refused = [](MemoryDevice& device, const FormatOptions& options) {
    const auto outcome = format(device, options);
    const MemoryImage image = device.snapshot();
    EXPECT_EQ(read(image, 0, 65536), std::vector<std::byte>(65536));
    return outcome ? ErrorCode::not_found : outcome.error().code();
  };
  MemoryDevice small((16U << 20) - 512);
  EXPECT_EQ(refused(small, {}), ErrorCode::device_too_small);

  MemoryDevice device(64U << 20);
  FormatOptions options;
  options.volume_bytes = 65U << 20;
  EXPECT_EQ(refused(device, options), ErrorCode::device_too_small);
  options = {};
  options.block_size = 5000;
  EXPECT_EQ(refused(device, options), ErrorCode::invalid_argument);
  options = {};
  options.block_size = 65536;
  options.node_size = 16384;
  EXPECT_EQ(refused(device, options), ErrorCode::invalid_argument);
  options = {};
  options.label = std::string(65, 'x');
  EXPECT_EQ(refused(device, options), ErrorCode::invalid_argument);

  MemoryDevice sectors(64U << 20, MemoryDeviceOptions{.sector = 4096, .read_only = false, .name = "4k"});
  options = {};
  options.block_size = 512;
  EXPECT_EQ(refused(sectors, options), ErrorCode::invalid_argument);
  EXPECT_TRUE(format(sectors));

  MemoryDevice read_only(64U << 20, MemoryDeviceOptions{.sector = 512, .read_only = true, .name = "ro"});
  EXPECT_EQ(refused(read_only, {}), ErrorCode::read_only);
}

TEST(FormatVolumeTest, EveryFailedOperationIsReportedAndLeavesNoVolume) {
  MemoryDevice inner(32U << 20);
  ASSERT_TRUE(format(inner));
  blockio::FaultyDevice device(inner);
  device.set_plan([](const blockio::FaultQuestion&) { return blockio::Fault::none; });
  ASSERT_TRUE(format(device));
  const std::uint64_t operations = device.operations();
  ASSERT_GT(operations, 10U);
  for (std::uint64_t index = 0; index < operations; ++index) {
    device.set_plan(blockio::fail_once(index));
    EXPECT_FALSE(format(device)) << index;
  }
  // Once the heads are erased nothing is found until all is there.
  device.set_plan(blockio::fail_nth(blockio::OpKind::flush, 1));
  EXPECT_FALSE(format(device));
  const auto copies = superblocks(inner.snapshot());
  EXPECT_EQ(format::choose_superblock(copies, inner.geometry().size, false).error().code(), ErrorCode::not_a_volume);
}

TEST(FormatVolumeTest, APowerCutLeavesTheOldVolumeNoneOrTheNewOneWhole) {
  MemoryDevice before(32U << 20);
  FormatOptions old_options;
  old_options.uuid = Uuid{1};
  ASSERT_TRUE(format(before, old_options));
  blockio::RecordingDevice device(before.snapshot());
  FormatOptions new_options;
  new_options.uuid = Uuid{2};
  ASSERT_TRUE(format(device, new_options));
  std::mt19937_64 random(5);
  std::size_t none = 0;
  std::size_t whole = 0;
  for (std::size_t events = 0; events <= device.event_count(); ++events) {
    for (int round = 0; round < 8; ++round) {
      const MemoryImage image = device.after_power_cut(events, round == 0 ? nullptr : &random);
      const auto copies = superblocks(image);
      const auto chosen = format::choose_superblock(copies, image.size(), true);
      if (!chosen) {
        ++none;
        continue;
      }
      if (copies[*chosen].uuid[0] != 2) continue;
      ++whole;
      const format::NodePointer root = format::load(copies[*chosen].root);
      const format::Layout layout = format::Layout::of(copies[*chosen]);
      for (const BlockNumber address : root.address) {
        EXPECT_TRUE(format::validate_node(read(image, layout.byte_offset(address), layout.node_size()),
                                          copies[*chosen].uuid, &root))
            << "after event " << events;
      }
      const auto table = read(image, layout.byte_offset(layout.group_table_block(0, 1, 0)), layout.block_size());
      EXPECT_TRUE(format::validate_group_table_block(table, copies[*chosen].uuid, 0, Generation{1}));
    }
  }
  EXPECT_GT(none, 0U);
  EXPECT_GT(whole, 0U);
  expect_empty_volume(device.contents());
}

TEST(PlanVolumeTest, BlocksGrowWithTheVolumeUnlessChosen) {
  blockio::Geometry geometry;
  geometry.size = 16ULL << 40;
  EXPECT_EQ(plan_volume(geometry, {})->layout.block_size(), 4096U);
  geometry.size = 300ULL << 40;
  EXPECT_EQ(plan_volume(geometry, {})->layout.block_size(), 8192U);
  FormatOptions options;
  options.block_size = 4096;
  EXPECT_FALSE(plan_volume(geometry, options));
}

TEST(PlanVolumeTest, TheRootsCopiesLieInDifferentGroups) {
  blockio::Geometry geometry;
  geometry.size = 1ULL << 30;
  const auto plan = plan_volume(geometry, {});
  ASSERT_TRUE(plan);
  const format::NodePointer root = format::load(plan->superblock.root);
  EXPECT_NE(plan->layout.group_of(root.address[0]), plan->layout.group_of(root.address[1]));
}

}  // namespace
}  // namespace ashlar::mkfs
