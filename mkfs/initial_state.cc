#include "mkfs/initial_state.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "fs/format/checksum.h"
#include "fs/format/items.h"

namespace ashlar::mkfs {
namespace {

constexpr std::size_t kBitmapSlot = 0;

std::optional<BlockNumber> first_room(const format::Layout& layout, std::uint64_t from) {
  const std::uint64_t size = layout.node_blocks();
  for (std::uint64_t block = (from + size - 1) / size * size; block + size <= layout.block_count(); block += size) {
    if (!layout.touches_fixed(BlockRun{BlockNumber{block}, size})) return BlockNumber{block};
  }
  return std::nullopt;
}

format::TimeItem time_item(Moment moment) {
  format::TimeItem item;
  item.seconds = moment.seconds;
  item.nanoseconds = moment.nanoseconds;
  return item;
}

}  // namespace

format::InodeItem root_inode(Moment now, std::uint32_t uid, std::uint32_t gid) {
  format::InodeItem inode{};
  inode.mode = S_IFDIR | 0755;
  inode.links = 2;
  inode.uid = uid;
  inode.gid = gid;
  inode.generation = kFirstGeneration.value();
  inode.parent = kRootInode.value();
  inode.accessed = inode.modified = inode.changed = inode.born = time_item(now);
  inode.version = 1;
  return inode;
}

Result<RootPlaces> choose_root_places(const format::Layout& layout) {
  const std::uint32_t groups = layout.group_count();
  const std::uint64_t far = groups == 1 ? layout.block_count() / 2 : layout.group_first(groups / 2).value();
  const auto near_place = first_room(layout, 0);
  const auto far_place = first_room(layout, far);
  if (!near_place || !far_place || *near_place == *far_place) {
    return fail(ErrorCode::device_too_small, "no room for the root directory");
  }
  return RootPlaces{{*near_place, *far_place}};
}

format::NodePointer build_root_leaf(std::span<std::byte> node, const std::uint8_t (&uuid)[16], const RootPlaces& places,
                                    const format::InodeItem& inode) {
  std::fill(node.begin(), node.end(), std::byte{0});
  const std::size_t value_offset = node.size() - sizeof inode;

  format::LeafItem item{};
  item.inode = kRootInode.value();
  item.kind = static_cast<std::uint8_t>(format::ItemKind::inode);
  item.value_offset = static_cast<std::uint16_t>(value_offset);
  item.value_size = static_cast<std::uint16_t>(sizeof inode);

  format::NodeHeader header{};
  header.magic = format::kNodeMagic;
  std::memcpy(header.uuid, uuid, sizeof uuid);
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) header.address[copy] = places.address[copy].value();
  header.generation = kFirstGeneration.value();
  header.count = 1;
  header.values_start = static_cast<std::uint32_t>(value_offset);

  std::memcpy(node.data(), &header, sizeof header);
  std::memcpy(node.data() + sizeof header, &item, sizeof item);
  std::memcpy(node.data() + value_offset, &inode, sizeof inode);
  format::seal_node(node);

  format::NodePointer pointer;
  std::copy(std::begin(places.address), std::end(places.address), std::begin(pointer.address));
  pointer.generation = kFirstGeneration;
  pointer.crc = format::header_of(node).crc;
  return pointer;
}

std::vector<TouchedGroup> touched_groups(const format::Layout& layout, const RootPlaces& places) {
  std::vector<TouchedGroup> touched;
  for (const BlockNumber address : places.address) {
    const std::uint32_t group = layout.group_of(address);
    const auto known =
        std::find_if(touched.begin(), touched.end(), [&](const TouchedGroup& each) { return each.group == group; });
    TouchedGroup& entry = known != touched.end() ? *known : touched.emplace_back(TouchedGroup{group, {}});
    entry.used.push_back(BlockRun{address, layout.node_blocks()});
  }
  return touched;
}

format::GroupEntry build_bitmap(const format::Layout& layout, const TouchedGroup& touched,
                                std::span<std::byte> bitmap) {
  std::uint32_t free_blocks = layout.initial_bitmap(touched.group, bitmap);
  const BlockNumber first = layout.group_first(touched.group);
  for (const BlockRun& run : touched.used) {
    for (std::uint64_t i = 0; i < run.count; ++i) {
      const std::uint64_t bit = run.first - first + i;
      bitmap[bit / 8] |= std::byte{1} << (bit % 8);
    }
    free_blocks -= static_cast<std::uint32_t>(run.count);
  }
  format::GroupEntry entry{};
  entry.bitmap_crc = format::crc32c(bitmap);
  entry.free_blocks = free_blocks;
  entry.generation = kFirstGeneration.value();
  entry.flags = format::kGroupInitialised | (kBitmapSlot == 0 ? 0 : format::kGroupSlot);
  return entry;
}

}  // namespace ashlar::mkfs
