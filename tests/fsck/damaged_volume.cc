#include "tests/fsck/damaged_volume.h"

#include <algorithm>
#include <cstring>

namespace ashlar::fsck::testing {

using format::ItemKind;
using format::Key;

namespace {

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

std::string dirent_value(std::string_view name, InodeNumber target, unsigned type) {
  format::DirentEntry entry{};
  entry.inode = target.value();
  entry.name_length = static_cast<std::uint16_t>(name.size());
  entry.type = static_cast<std::uint8_t>(type);
  std::string value(sizeof entry, '\0');
  std::memcpy(value.data(), &entry, sizeof entry);
  return value.append(name);
}

ItemEditor::ItemEditor(blockio::BlockDevice& device, blockio::IoQueue& io) : io_(io) {
  store::StoreOptions options;
  options.background = false;
  Result<std::unique_ptr<store::Store>> opened = store::Store::open(device, io, options);
  EXPECT_TRUE(opened) << opened.error().message();
  store_ = *std::move(opened);
}

ItemEditor::~ItemEditor() { EXPECT_TRUE(store_->close(io_)); }

void ItemEditor::commit(store::Transaction& transaction) {
  const Result<Lsn> committed = store_->commit(io_, transaction);
  EXPECT_TRUE(committed) << committed.error().message();
}

void ItemEditor::put(const Key& key, std::span<const std::byte> value) {
  store::Transaction transaction;
  transaction.put(key, value);
  commit(transaction);
}

void ItemEditor::erase(const Key& key) {
  store::Transaction transaction;
  transaction.erase(key);
  commit(transaction);
}

store::ItemValue ItemEditor::get(const Key& key) {
  store::ItemValue value;
  EXPECT_TRUE(store_->get(io_, key, value).value_or(false));
  return value;
}

std::vector<Key> ItemEditor::keys_of(InodeNumber inode, ItemKind kind) {
  std::vector<Key> keys;
  EXPECT_TRUE(
      store_->scan(io_, {inode, kind, 0}, {inode, kind, ~0ULL}, [&](const Key& key, std::span<const std::byte>) {
        keys.push_back(key);
        return true;
      }));
  return keys;
}

void ItemEditor::edit_inode(InodeNumber inode, const std::function<void(format::InodeItem&)>& edit) {
  const Key key{inode, ItemKind::inode, 0};
  format::InodeItem item;
  const store::ItemValue value = get(key);
  ASSERT_EQ(value.size(), sizeof item);
  std::memcpy(&item, value.data(), sizeof item);
  edit(item);
  put(key, bytes_of(item));
}

std::uint64_t ItemEditor::hash(std::string_view name) const {
  return format::hash_name(name, store_->superblock().hash_seed);
}

void ItemEditor::add_name(InodeNumber directory, std::string_view name, InodeNumber target, unsigned type) {
  put({directory, ItemKind::dirent, hash(name)}, dirent_value(name, target, type));
}

void ItemEditor::remove_name(InodeNumber directory, std::string_view name) {
  erase({directory, ItemKind::dirent, hash(name)});
}

format::ExtentItem ItemEditor::first_extent(InodeNumber inode) {
  format::ExtentItem item{};
  const store::ItemValue value = get({inode, ItemKind::extent, 0});
  EXPECT_GE(value.size(), sizeof item);
  std::memcpy(&item, value.data(), std::min(value.size(), sizeof item));
  return item;
}

void ItemEditor::put_extent(InodeNumber inode, std::uint64_t file_block, BlockRun run) {
  format::ExtentItem item{};
  item.physical = run.first.value();
  item.count = static_cast<std::uint32_t>(run.count);
  item.flags = format::kExtentNoChecksum;
  put({inode, ItemKind::extent, file_block}, bytes_of(item));
}

BlockRun ItemEditor::allocate(std::uint64_t blocks) {
  store::AllocationRequest request;
  request.minimum = request.maximum = blocks;
  Result<store::Allocation> allocation = store_->allocate(io_, request);
  EXPECT_TRUE(allocation);
  if (!allocation) return {};
  const BlockRun run = allocation->run();
  store::Transaction transaction;
  transaction.adopt(*std::move(allocation));
  commit(transaction);
  return run;
}

void ItemEditor::free(BlockRun run) {
  store::Transaction transaction;
  transaction.free(run);
  commit(transaction);
}

void ItemEditor::add_orphan(InodeNumber inode, format::OrphanReason reason) {
  format::OrphanItem item{};
  item.generation = 1;
  item.reason = static_cast<std::uint8_t>(reason);
  put({format::kOrphanOwner, ItemKind::orphan, inode.value()}, bytes_of(item));
}

DamagedVolume::DamagedVolume(const Geometry& geometry) : SampleVolume(geometry) {
  blockio::MemoryImage unmounted = device().snapshot();
  rig.mount();
  before_ = picture_of(rig);
  rig.crash();
  device().restore(std::move(unmounted));
}

void DamagedVolume::edit_items(const std::function<void(ItemEditor&)>& edit) {
  ItemEditor items(device(), rig.io());
  edit(items);
}

void DamagedVolume::edit_image(const std::function<void(ImageEditor&)>& edit) {
  ImageEditor image(device());
  edit(image);
}

void DamagedVolume::expect_same(const Names& harmed) {
  const Picture after = picture_of(rig);
  const auto is_harmed = [&harmed](const std::string& path) {
    return std::any_of(harmed.begin(), harmed.end(),
                       [&path](const std::string& name) { return path == name || path == "/d/" + name + "/"; });
  };
  for (const auto& [number, seen] : before_) {
    if (std::any_of(seen.paths.begin(), seen.paths.end(), is_harmed)) continue;
    SCOPED_TRACE(std::to_string(number) + " " + *seen.paths.begin());
    const auto found = after.find(number);
    if (found == after.end()) {
      ADD_FAILURE() << "lost";
      continue;
    }
    const Seen& now = found->second;
    EXPECT_EQ(now.what, seen.what);
    if (now.paths == seen.paths) {
      // Of a directory they go with what is in it, lost+found and what is there now among that.
      if (!now.is_directory) {
        EXPECT_EQ(now.links, seen.links);
      }
      continue;
    }
    const bool has_more_names = std::ranges::includes(now.paths, seen.paths);
    const bool was_found =
        std::ranges::any_of(now.paths, [](const std::string& path) { return path.starts_with("/lost+found/"); });
    EXPECT_TRUE(has_more_names || was_found) << *now.paths.begin();
  }
}

void DamagedVolume::expect_undamaged(const Names& harmed) {
  rig.mount();
  if (!harmed.contains("*")) expect_same(harmed);
  // It is a volume like any other.
  rig.write(rig.make_file(kRootInode, "made after the repair"), 0, volume::testing::pattern(50'000, 5));
  rig.unmount();
  const Report report = check(device());
  EXPECT_TRUE(report.is_clean()) << report.findings().front().text;
}

NodePath leaf_of_extents(ImageEditor& image, InodeNumber sparse) {
  std::vector<NodePath> found;
  for (const NodePath& path : image.leaves()) {
    const std::vector<std::byte> node = image.read_node(image.pointer_to(path));
    const auto items = format::leaf_items(node);
    const bool only_these = std::all_of(items.begin(), items.end(), [sparse](const format::LeafItem& item) {
      return format::key_of(item).inode == sparse && format::key_of(item).kind == ItemKind::extent;
    });
    if (only_these) found.push_back(path);
  }
  EXPECT_GE(found.size(), 3U);
  return found.size() < 3 ? NodePath{} : found[found.size() / 2];
}

void own_all_free_blocks(DamagedVolume& volume) {
  std::vector<BlockRun> runs;
  volume.edit_image([&runs](ImageEditor& image) {
    const format::Layout layout = image.layout();
    std::vector<std::byte> bitmap(layout.block_size());
    for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
      if ((image.group_entry(group).flags & format::kGroupInitialised) != 0) {
        bitmap = image.read_at(layout.byte_offset(image.bitmap_block(group, 0)), layout.block_size());
      } else {
        layout.initial_bitmap(group, bitmap);
      }
      for (std::uint32_t bit = 0; bit < layout.blocks_in_group(group); ++bit) {
        if ((std::to_integer<unsigned>(bitmap[bit / 8]) >> (bit % 8) & 1) != 0) continue;
        const BlockNumber block = layout.group_first(group) + bit;
        if (!runs.empty() && runs.back().end() == block) {
          ++runs.back().count;
        } else {
          runs.push_back({block, 1});
        }
      }
    }
  });
  volume.edit_items([&](ItemEditor& items) {
    std::uint64_t file_block = 1000;
    for (const BlockRun& run : runs) {
      items.put_extent(volume.other, file_block, run);
      file_block += run.count;
    }
  });
}

}  // namespace ashlar::fsck::testing
