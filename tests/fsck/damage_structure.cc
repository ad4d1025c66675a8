// Structures that are damaged or contradict each other, made so below the store.
#include <cstring>

#include "fs/format/log.h"
#include "fs/format/places.h"
#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

using ImageDamage = std::function<void(DamagedVolume&, ImageEditor&)>;

DamageCase image_case(FindingId id, Names consequences, ImageDamage damage) {
  return {id, std::move(consequences), [damage = std::move(damage)](DamagedVolume& volume) {
            volume.edit_image([&](ImageEditor& image) { damage(volume, image); });
          }};
}

std::uint64_t superblock_place(const ImageEditor& image, std::size_t copy) {
  return format::superblock_offset(image.superblock.generation % format::kSuperblockSlots, copy);
}

std::vector<DamageCase> superblock_cases() {
  std::vector<DamageCase> cases;
  cases.push_back(image_case(FindingId::no_superblock, {}, [](DamagedVolume&, ImageEditor& image) {
    // A byte behind the magic, which tells that this was a volume.
    for (std::size_t i = 0; i < format::kSuperblockSlots * format::kCopies; ++i) {
      const std::uint64_t offset = format::superblock_offset(i / format::kCopies, i % format::kCopies);
      std::vector<std::byte> bytes = image.read_at(offset, format::kSuperblockSize);
      bytes[100] ^= std::byte{1};
      image.write_at(offset, bytes);
    }
  }));
  cases.push_back(image_case(FindingId::superblock_copy_bad, {},
                             [](DamagedVolume&, ImageEditor& image) { image.damage_at(superblock_place(image, 0)); }));
  cases.push_back(image_case(FindingId::superblock_copies_differ, {}, [](DamagedVolume&, ImageEditor& image) {
    format::Superblock older = image.superblock;
    older.written_time = older.written_time - 10;
    image.write_superblock_copy(1, older);
  }));
  cases.push_back(image_case(FindingId::superblock_slot_lost, {}, [](DamagedVolume&, ImageEditor& image) {
    const std::size_t older = 1 - image.superblock.generation % format::kSuperblockSlots;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) image.damage_at(format::superblock_offset(older, copy));
  }));
  cases.push_back(image_case(FindingId::free_count_wrong, {}, [](DamagedVolume&, ImageEditor& image) {
    image.superblock.free_blocks = image.superblock.free_blocks - 1;
    image.write_superblock();
  }));
  cases.push_back(image_case(FindingId::node_count_wrong, {}, [](DamagedVolume&, ImageEditor& image) {
    image.superblock.node_count = image.superblock.node_count + 1;
    image.write_superblock();
  }));
  cases.push_back(image_case(FindingId::item_count_wrong, {}, [](DamagedVolume&, ImageEditor& image) {
    image.superblock.item_count[5] = image.superblock.item_count[5] + 1;
    image.write_superblock();
  }));
  return cases;
}

std::vector<DamageCase> bitmap_cases() {
  std::vector<DamageCase> cases;
  cases.push_back(image_case(FindingId::group_table_copy_bad, {}, [](DamagedVolume&, ImageEditor& image) {
    image.damage_block(image.layout().group_table_block(0, image.table_slot(0), 1));
  }));
  cases.push_back(image_case(FindingId::group_table_block_lost, {}, [](DamagedVolume&, ImageEditor& image) {
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      for (std::size_t copy = 0; copy < format::kCopies; ++copy)
        image.damage_block(image.layout().group_table_block(0, slot, copy));
    }
  }));
  cases.push_back(image_case(FindingId::group_table_unproven, {}, [](DamagedVolume&, ImageEditor& image) {
    image.superblock.group_table_crc = image.superblock.group_table_crc + 1;
    image.write_superblock();
  }));
  cases.push_back(image_case(FindingId::bitmap_copy_bad, {},
                             [](DamagedVolume&, ImageEditor& image) { image.damage_block(image.bitmap_block(0, 0)); }));
  cases.push_back(image_case(FindingId::bitmap_lost, {}, [](DamagedVolume&, ImageEditor& image) {
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) image.damage_block(image.bitmap_block(0, copy));
  }));
  cases.push_back(image_case(FindingId::group_free_count_wrong, {}, [](DamagedVolume&, ImageEditor& image) {
    image.edit_table_block(0, [](std::span<std::byte> block) {
      auto& entry = *reinterpret_cast<format::GroupEntry*>(block.data() + sizeof(format::GroupTableHeader));
      entry.free_blocks = entry.free_blocks - 1;
    });
    image.superblock.free_blocks = image.superblock.free_blocks - 1;
    image.write_superblock();
  }));
  cases.push_back(image_case(FindingId::group_entry_bad, {}, [](DamagedVolume&, ImageEditor& image) {
    image.edit_table_block(0, [&image](std::span<std::byte> block) {
      auto& entry = *reinterpret_cast<format::GroupEntry*>(block.data() + sizeof(format::GroupTableHeader));
      entry.generation = image.superblock.generation + 1;
    });
  }));
  cases.push_back(image_case(FindingId::bitmap_past_end, {}, [](DamagedVolume&, ImageEditor& image) {
    const std::uint32_t last = image.layout().group_count() - 1;
    ASSERT_LT(image.layout().blocks_in_group(last), image.layout().group_blocks());
    image.edit_bitmap(last, [](std::span<std::byte> bitmap) { bitmap.back() = std::byte{0x7f}; });
  }));
  return cases;
}

std::vector<DamageCase> log_cases() {
  std::vector<DamageCase> cases;
  // A group's first blocks are its bitmaps' neighbourhood; what is owned for sure is the root node.
  const auto op = [](format::LogOpKind kind, std::uint64_t a, std::uint64_t b) {
    format::LogOp log_op{};
    log_op.op = static_cast<std::uint8_t>(kind);
    log_op.a = a;
    log_op.b = b;
    return log_op;
  };
  cases.push_back({FindingId::log_not_empty, {}, [](DamagedVolume& volume) {
                     volume.rig.mount();
                     volume.rig.make_file(kRootInode, "in the log");
                     EXPECT_TRUE(volume.rig.volume().sync_all(volume.rig.context()));
                     volume.rig.crash();
                   }});
  cases.push_back(image_case(FindingId::log_unreadable, {}, [op](DamagedVolume&, ImageEditor& image) {
    // Of one record nothing counts unless all of it does: the root directory is still there.
    std::array operations = {op(format::LogOpKind::erase, kRootInode.value(), 0), op(format::LogOpKind{77}, 0, 0)};
    operations[0].key_kind = static_cast<std::uint8_t>(format::ItemKind::inode);
    image.write_log_record(std::as_bytes(std::span(operations)), operations.size());
    // So that the first one is believed without looking into it.
    image.write_log_record({}, 0);
  }));
  cases.push_back(image_case(FindingId::log_distrusted, {}, [op](DamagedVolume&, ImageEditor& image) {
    format::LogOp witness = op(format::LogOpKind::witness, image.superblock.root.address[0],
                               sizeof(format::RecordHeader) + sizeof(format::LogOp));
    witness.size = 1;
    std::vector<std::byte> record(sizeof witness + sizeof(format::le32));
    std::memcpy(record.data(), &witness, sizeof witness);
    image.write_log_record(record, 1);
  }));
  cases.push_back({FindingId::log_cut, {}, [](DamagedVolume& volume) {
                     volume.rig.mount();
                     for (const char* const name : {"acknowledged", "this as well"}) {
                       volume.rig.make_file(kRootInode, name);
                       EXPECT_TRUE(volume.rig.volume().sync_all(volume.rig.context()));
                     }
                     volume.rig.crash();
                     ImageEditor image(volume.device());
                     image.damage_block(format::log_block(image.layout(), Lsn{image.superblock.log_start}));
                   }});
  cases.push_back(image_case(FindingId::log_record_bad, {"log_not_empty"}, [op](DamagedVolume&, ImageEditor& image) {
    const format::LogOp twice = op(format::LogOpKind::allocate, image.superblock.root.address[0], 1);
    image.write_log_record(std::as_bytes(std::span(&twice, 1)), 1);
  }));
  return cases;
}

// What the loss of a leaf of a file's extents brings.
Names lost_extents() { return {"item_count_wrong", "block_count_wrong", "blocks_leaked", "contents_lost"}; }

void lose_leaf_of_extents(DamagedVolume& volume, ImageEditor& image) {
  const NodePath leaf = leaf_of_extents(image, volume.sparse);
  for (const BlockNumber address : image.pointer_to(leaf).address) image.damage_block(address);
}

format::NodeHeader& header_in(std::span<std::byte> node) { return *reinterpret_cast<format::NodeHeader*>(node.data()); }

template <typename Entry>
Entry* entries_in(std::span<std::byte> node) {
  return reinterpret_cast<Entry*>(node.data() + sizeof(format::NodeHeader));
}

// Makes the second of two neighbours point to where the first does.
void point_to_neighbour(std::span<std::byte> parent, std::size_t index) {
  auto* const entries = entries_in<format::InternalEntry>(parent);
  format::InternalEntry& entry = entries[index];
  const format::InternalEntry& before = entries[index - 1];
  std::copy(std::begin(before.address), std::end(before.address), std::begin(entry.address));
  entry.generation = before.generation;
  entry.crc = before.crc;
}

std::vector<DamageCase> node_cases() {
  std::vector<DamageCase> cases;
  cases.push_back(image_case(FindingId::node_copy_bad, {}, [](DamagedVolume&, ImageEditor& image) {
    image.damage_block(image.pointer_to(image.leaves().front()).address[0]);
  }));
  cases.push_back(image_case(FindingId::node_lost, lost_extents(), lose_leaf_of_extents));
  Names with_node = lost_extents();
  with_node.insert("node_lost");
  cases.push_back(image_case(FindingId::contents_lost, with_node, lose_leaf_of_extents));
  cases.push_back(image_case(FindingId::node_out_of_order, {"item_count_wrong", "block_count_wrong", "blocks_leaked"},
                             [](DamagedVolume& volume, ImageEditor& image) {
                               image.edit_node(leaf_of_extents(image, volume.sparse), [](std::span<std::byte> node) {
                                 auto* const items = entries_in<format::LeafItem>(node);
                                 items[header_in(node).count - 1].offset = 1ULL << 40;
                               });
                             }));
  // The root itself, so everything below it is out of reach.
  cases.push_back(image_case(FindingId::node_level_wrong, {"node_count_wrong", "item_count_wrong", "root_missing"},
                             [](DamagedVolume&, ImageEditor& image) {
                               image.superblock.root.level = image.superblock.root.level + 1;
                               image.write_superblock();
                             }));
  cases.push_back(image_case(FindingId::node_empty, lost_extents(), [](DamagedVolume& volume, ImageEditor& image) {
    image.edit_node(leaf_of_extents(image, volume.sparse),
                    [](std::span<std::byte> node) { header_in(node).count = 0; });
  }));
  cases.push_back(image_case(FindingId::node_shared, lost_extents(), [](DamagedVolume& volume, ImageEditor& image) {
    NodePath leaf = leaf_of_extents(image, volume.sparse);
    const std::size_t index = leaf.back();
    ASSERT_GT(index, 0U);
    leaf.pop_back();
    image.edit_node(leaf, [index](std::span<std::byte> parent) { point_to_neighbour(parent, index); });
  }));
  return cases;
}

// Turns a leaf into an internal node, as full as can be, whose entries all lead to `child`.
void fill_with(std::span<std::byte> node, const format::NodePointer& child, std::uint64_t first_inode) {
  format::NodeHeader& header = header_in(node);
  const std::uint32_t most = format::max_internal_entries(static_cast<std::uint32_t>(node.size()));
  header.level = 1;
  header.count = static_cast<std::uint16_t>(most);
  header.values_start = 0;
  header.generation = std::max(header.generation.value(), child.generation.value());
  auto* const entries = entries_in<format::InternalEntry>(node);
  for (std::uint32_t i = 0; i < most; ++i) {
    format::InternalEntry entry{};
    entry.inode = first_inode;
    entry.offset = i;
    entry.kind = 1;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) entry.address[copy] = child.address[copy].value();
    entry.generation = child.generation.value();
    entry.crc = child.crc;
    entries[i] = entry;
  }
}

// A tree that says it has more nodes than there is room for: its entries all lead to the same node.
void multiply_nodes(DamagedVolume&, ImageEditor& image) {
  ASSERT_EQ(image.superblock.root.level, 1U);
  const format::NodePointer child = image.pointer_to({2});
  image.edit_node({0}, [&](std::span<std::byte> node) { fill_with(node, child, 0); });
  image.edit_node({1}, [&](std::span<std::byte> node) { fill_with(node, child, ~0ULL); });
  image.edit_node({}, [](std::span<std::byte> root) {
    header_in(root).level = 2;
    header_in(root).count = 2;
    for (std::size_t i = 0; i < 2; ++i)
      entries_in<format::InternalEntry>(root)[i].generation = header_in(root).generation.value();
  });
  image.superblock.root.level = 2;
  image.write_superblock();
}

}  // namespace

std::vector<DamageCase> structure_cases() {
  std::vector<DamageCase> all;
  for (std::vector<DamageCase>& some : std::array{superblock_cases(), bitmap_cases(), log_cases(), node_cases()})
    std::move(some.begin(), some.end(), std::back_inserter(all));
  for (DamageCase& damage : all) {
    switch (damage.id) {
      case FindingId::node_lost:
      case FindingId::contents_lost:
      case FindingId::node_out_of_order:
      case FindingId::node_empty: damage.harmed = {"sparse"}; break;
      default: break;
    }
  }
  all.push_back(image_case(FindingId::tree_too_large, {"node_out_of_order", "node_shared"}, multiply_nodes));
  all.back().geometry = {16ULL << 20, 4096, 16384};
  all.back().harmed = {"*"};  // all of it was in the leaves overwritten
  return all;
}

}  // namespace ashlar::fsck::testing
