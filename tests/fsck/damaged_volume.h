// A sample volume that is damaged in one way: through the store, for items that no volume of ours would hold, or below
// it with an ImageEditor.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "fs/format/items.h"
#include "fs/store/store.h"
#include "tests/fsck/image_editor.h"
#include "tests/fsck/picture.h"
#include "tests/fsck/sample_volume.h"

namespace ashlar::fsck::testing {

// Changes items of a volume that is not mounted, without any of the volume layer's rules. Every change is a transaction
// of its own. Fails the test when the store does.
class ItemEditor {
 public:
  ItemEditor(blockio::BlockDevice& device, blockio::IoQueue& io);
  ~ItemEditor();  // closes the store
  ItemEditor(const ItemEditor&) = delete;
  ItemEditor& operator=(const ItemEditor&) = delete;

  void put(const format::Key& key, std::span<const std::byte> value);
  void put(const format::Key& key, std::string_view value) { put(key, std::as_bytes(std::span(value))); }
  void erase(const format::Key& key);
  [[nodiscard]] store::ItemValue get(const format::Key& key);
  [[nodiscard]] std::vector<format::Key> keys_of(InodeNumber inode, format::ItemKind kind);

  void edit_inode(InodeNumber inode, const std::function<void(format::InodeItem&)>& edit);
  // No count is changed.
  void add_name(InodeNumber directory, std::string_view name, InodeNumber target, unsigned type);
  void remove_name(InodeNumber directory, std::string_view name);
  [[nodiscard]] std::uint64_t hash(std::string_view name) const;

  // The first extent of a file.
  [[nodiscard]] format::ExtentItem first_extent(InodeNumber inode);
  // Without checksums.
  void put_extent(InodeNumber inode, std::uint64_t file_block, BlockRun run);
  [[nodiscard]] BlockRun allocate(std::uint64_t blocks);
  void free(BlockRun run);
  void add_orphan(InodeNumber inode, format::OrphanReason reason);

 private:
  void commit(store::Transaction& transaction);

  blockio::IoQueue& io_;
  std::unique_ptr<store::Store> store_;
};

// A dirent item's value.
[[nodiscard]] std::string dirent_value(std::string_view name, InodeNumber target, unsigned type);

class DamagedVolume : public SampleVolume {
 public:
  explicit DamagedVolume(const Geometry& geometry = volume::testing::kMiddleNodes);

  void edit_items(const std::function<void(ItemEditor&)>& edit);
  void edit_image(const std::function<void(ImageEditor&)>& edit);
  // Mounts the volume and compares everything in it with what it was before the damage: attributes, contents, links;
  // found where it was, or in lost+found. Not what `harmed` names, in "d" or as a path; "*": that there is nothing else
  // to compare.
  void expect_undamaged(const Names& harmed);

 private:
  void expect_same(const Names& harmed);

  Picture before_;
};

// The leaf in the middle of those that hold nothing but extents of `sparse`; its neighbours are such leaves too.
[[nodiscard]] NodePath leaf_of_extents(ImageEditor& image, InodeNumber sparse);

// Makes a file say that all is its that nothing else uses, so that there is no room for anything.
void own_all_free_blocks(DamagedVolume& volume);

struct DamageCase {
  FindingId id{};
  Names consequences;  // other findings that the same damage brings
  std::function<void(DamagedVolume&)> damage;
  CheckOptions options = {};
  Geometry geometry = volume::testing::kMiddleNodes;
  Names harmed = {};  // files of the sample that may be different after a repair
};
// One for each id.
[[nodiscard]] std::vector<DamageCase> structure_cases();
[[nodiscard]] std::vector<DamageCase> item_cases();

}  // namespace ashlar::fsck::testing
