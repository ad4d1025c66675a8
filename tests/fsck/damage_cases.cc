// Items that contradict each other, put there through the store.
#include <dirent.h>

#include <algorithm>
#include <cstring>

#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

using format::InodeItem;
using format::ItemKind;
using Damage = std::function<void(DamagedVolume&, ItemEditor&)>;

constexpr InodeNumber kNoSuchInode{987'654};

DamageCase item_case(FindingId id, Names consequences, Damage damage) {
  return {id, std::move(consequences), [damage = std::move(damage)](DamagedVolume& volume) {
            volume.edit_items([&](ItemEditor& items) { damage(volume, items); });
          }};
}

template <typename Field>
Damage change(InodeNumber SampleVolume::*which, Field InodeItem::*field, std::int64_t by) {
  return [=](DamagedVolume& volume, ItemEditor& items) {
    items.edit_inode(volume.*which, [&](InodeItem& item) {
      item.*field =
          static_cast<decltype((item.*field).value())>((item.*field).value() + static_cast<std::uint64_t>(by));
    });
  };
}

void link_more(ItemEditor& items, InodeNumber inode, std::uint32_t links) {
  items.edit_inode(inode, [links](InodeItem& item) { item.links = item.links + links; });
}
void enter_more(ItemEditor& items, InodeNumber directory, std::uint64_t entries) {
  items.edit_inode(directory, [entries](InodeItem& item) { item.entries = item.entries + entries; });
}

std::vector<DamageCase> content_cases() {
  std::vector<DamageCase> cases;
  cases.push_back(item_case(FindingId::item_kind_unknown, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.put({volume.file, ItemKind{12}, 0}, "?");
  }));
  cases.push_back(item_case(FindingId::item_malformed, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.put({volume.file, ItemKind::extent, 1U << 30}, "no extent");
  }));
  cases.push_back(item_case(FindingId::item_without_inode, {}, [](DamagedVolume&, ItemEditor& items) {
    items.put({kNoSuchInode, ItemKind::inline_data, 0}, "nobody's");
  }));
  cases.push_back(item_case(FindingId::inode_number_unused, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.put({kNoSuchInode, ItemKind::inode, 0}, items.get({volume.fifo, ItemKind::inode, 0}));
    items.add_name(volume.left, "new", kNoSuchInode, DT_FIFO);
    enter_more(items, volume.left, 1);
  }));
  cases.push_back(item_case(FindingId::extents_overlap, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.put_extent(volume.file, 2, items.allocate(1));
    items.edit_inode(volume.file, [](InodeItem& item) { item.blocks = item.blocks + 1; });
  }));
  cases.push_back(item_case(FindingId::extent_past_end, {}, change(&SampleVolume::file, &InodeItem::size, -4096)));
  cases.push_back(item_case(FindingId::block_count_wrong, {}, change(&SampleVolume::file, &InodeItem::blocks, 1)));
  cases.push_back(item_case(FindingId::item_misplaced, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.put({volume.fifo, ItemKind::inline_data, 0}, "");
  }));
  cases.push_back(item_case(FindingId::size_wrong, {}, change(&SampleVolume::small, &InodeItem::size, 1)));
  cases.push_back(item_case(FindingId::xattr_malformed, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.put({volume.file, ItemKind::xattr, 5}, "no attribute");
  }));
  cases.push_back(item_case(FindingId::xattr_count_wrong, {}, change(&SampleVolume::file, &InodeItem::xattrs, 1)));
  cases.push_back(item_case(FindingId::xattr_value_incomplete, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.erase(items.keys_of(volume.xattr_owner, ItemKind::xattr_value).back());
  }));
  DamageCase data{
      FindingId::data_checksum_wrong, {}, [](DamagedVolume& volume) {
        format::ExtentItem extent;
        volume.edit_items([&](ItemEditor& items) { extent = items.first_extent(volume.file); });
        volume.edit_image([&](ImageEditor& image) { image.damage_block(BlockNumber{extent.physical + 3}); });
      }};
  data.options.data = true;
  cases.push_back(std::move(data));
  return cases;
}

std::vector<DamageCase> block_cases() {
  std::vector<DamageCase> cases;
  cases.push_back(item_case(FindingId::block_owned_twice, {}, [](DamagedVolume& volume, ItemEditor& items) {
    const format::ExtentItem extent = items.first_extent(volume.file);
    items.edit_inode(volume.other, [](InodeItem& item) {
      item.size = 10 * 4096;
      item.blocks = item.blocks + 2;
    });
    items.put_extent(volume.other, 8, {BlockNumber{extent.physical + 1}, 2});
  }));
  cases.push_back(item_case(FindingId::block_reserved, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.edit_inode(volume.other, [](InodeItem& item) {
      item.size = 9 * 4096;
      item.blocks = item.blocks + 1;
    });
    items.put_extent(volume.other, 8, {BlockNumber{1}, 1});
  }));
  cases.push_back(item_case(FindingId::blocks_leaked, {},
                            [](DamagedVolume&, ItemEditor& items) { static_cast<void>(items.allocate(3)); }));
  cases.push_back(item_case(FindingId::blocks_not_marked, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.free({BlockNumber{items.first_extent(volume.file).physical}, 2});
  }));
  return cases;
}

std::vector<DamageCase> name_cases() {
  std::vector<DamageCase> cases;
  cases.push_back(item_case(FindingId::name_bad, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.add_name(volume.left, "a/b", volume.file, DT_REG);
    enter_more(items, volume.left, 1);
    link_more(items, volume.file, 1);
  }));
  cases.push_back(item_case(FindingId::name_hash_wrong, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.put({volume.left, ItemKind::dirent, items.hash("one")}, dirent_value("another", volume.file, DT_REG));
    enter_more(items, volume.left, 1);
    link_more(items, volume.file, 1);
  }));
  cases.push_back(item_case(FindingId::name_dangling, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.add_name(volume.left, "nothing", kNoSuchInode, DT_REG);
    enter_more(items, volume.left, 1);
  }));
  cases.push_back(item_case(FindingId::name_type_wrong, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.add_name(volume.left, "file", volume.file, DT_DIR);
    enter_more(items, volume.left, 1);
    link_more(items, volume.file, 1);
  }));
  cases.push_back(item_case(FindingId::name_twice, {}, [](DamagedVolume& volume, ItemEditor& items) {
    const std::string entry = dirent_value("twice", volume.file, DT_REG);
    items.put({volume.left, ItemKind::dirent, items.hash("twice")}, entry + entry);
    enter_more(items, volume.left, 2);
    link_more(items, volume.file, 2);
  }));
  cases.push_back(item_case(FindingId::directory_linked_twice, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.add_name(volume.directory, "again", volume.left, DT_DIR);
    enter_more(items, volume.directory, 1);
    link_more(items, volume.directory, 1);
  }));
  cases.push_back(item_case(FindingId::parent_wrong, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.edit_inode(volume.left, [&](InodeItem& item) { item.parent = volume.right.value(); });
  }));
  cases.push_back(item_case(FindingId::link_count_wrong, {}, change(&SampleVolume::file, &InodeItem::links, 1)));
  cases.push_back(item_case(FindingId::entry_count_wrong, {}, change(&SampleVolume::left, &InodeItem::entries, 1)));
  return cases;
}

std::vector<DamageCase> reachability_cases() {
  std::vector<DamageCase> cases;
  cases.push_back(item_case(FindingId::unreachable, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.remove_name(volume.directory, "small");
    enter_more(items, volume.directory, ~0ULL);
    link_more(items, volume.small, ~0U);
  }));
  cases.push_back(item_case(FindingId::orphan_named, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.add_orphan(volume.file, format::OrphanReason::unlinked);
  }));
  cases.push_back(item_case(FindingId::orphan_dangling, {}, [](DamagedVolume&, ItemEditor& items) {
    items.add_orphan(kNoSuchInode, format::OrphanReason::unlinked);
  }));
  cases.push_back(item_case(FindingId::root_missing, {"item_without_inode"}, [](DamagedVolume&, ItemEditor& items) {
    items.erase({kRootInode, ItemKind::inode, 0});
  }));
  cases.push_back(item_case(FindingId::directory_loop, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.remove_name(volume.directory, "left");
    enter_more(items, volume.directory, ~0ULL);
    link_more(items, volume.directory, ~0U);
    items.add_name(volume.left, "itself", volume.left, DT_DIR);
    items.edit_inode(volume.left, [&](InodeItem& item) {
      item.parent = volume.left.value();
      item.entries = 1;
      item.links = 3;
    });
  }));
  cases.push_back(item_case(FindingId::orphan_waits, {}, [](DamagedVolume& volume, ItemEditor& items) {
    items.remove_name(volume.directory, "other");
    enter_more(items, volume.directory, ~0ULL);
    link_more(items, volume.other, ~0U);
    items.add_orphan(volume.other, format::OrphanReason::unlinked);
  }));
  return cases;
}

}  // namespace

std::vector<DamageCase> item_cases() {
  std::vector<DamageCase> all;
  for (std::vector<DamageCase>& some : std::array{content_cases(), block_cases(), name_cases(), reachability_cases()})
    std::move(some.begin(), some.end(), std::back_inserter(all));
  for (DamageCase& damage : all) {
    switch (damage.id) {
      case FindingId::xattr_value_incomplete: damage.harmed = {"x"}; break;
      case FindingId::root_missing:
        damage.harmed = {"/"};
        break;  // a new one takes its place
      // It was made longer to have the blocks of another.
      case FindingId::block_owned_twice:
      case FindingId::block_reserved:
      case FindingId::orphan_waits: damage.harmed = {"other"}; break;
      // Either name may be the one that stays.
      case FindingId::directory_linked_twice: damage.harmed = {"left"}; break;
      default: break;
    }
  }
  return all;
}

}  // namespace ashlar::fsck::testing
