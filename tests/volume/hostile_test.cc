// Items that no volume of ours would hold: errors, never crashes, loops or reads out of bounds.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <optional>
#include <random>

#include "fs/base/log.h"
#include "fs/format/items.h"
#include "fs/store/superblock_io.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

using format::ItemKind;
using format::Key;

class Hostile : public ::testing::Test {
 protected:
  std::unique_ptr<Rig> rig = std::make_unique<Rig>(kMiddleNodes);
  InodeNumber directory = rig->make_directory(kRootInode, "d");
  InodeNumber file = rig->make_file(directory, "f");

  template <typename Fill>
  void put(const Key& key, Fill fill) {
    store::Transaction transaction;
    fill(transaction, key);
    ASSERT_TRUE(rig->volume().store().commit(rig->io(), transaction));
  }
  void put_bytes(const Key& key, std::span<const std::byte> bytes) {
    put(key, [&](store::Transaction& transaction, const Key& at) { transaction.put(at, bytes); });
  }
  void put_extent(InodeNumber inode, std::uint64_t block, std::uint64_t physical, std::uint32_t count,
                  std::uint8_t flags) {
    format::ExtentItem item{};
    item.physical = physical;
    item.count = count;
    item.flags = flags;
    put_bytes({inode, ItemKind::extent, block}, std::as_bytes(std::span(&item, 1)));
  }
  format::InodeItem item_of(InodeNumber inode) {
    store::ItemValue value;
    EXPECT_TRUE(rig->volume().store().get(rig->io(), {inode, ItemKind::inode, 0}, value).value_or(false));
    return *format::parse_inode(value);
  }
  void put_inode(InodeNumber inode, const format::InodeItem& item) {
    put_bytes({inode, ItemKind::inode, 0}, std::as_bytes(std::span(&item, 1)));
  }

  // Of the volume that is not mounted.
  void edit_superblock(const std::function<void(format::Superblock&)>& edit) {
    auto superblock = store::read_superblock(rig->device().geometry(), rig->io(), true);
    ASSERT_TRUE(superblock);
    edit(*superblock);
    ASSERT_TRUE(store::rewrite_superblock(rig->io(), *superblock));
  }
  // Unmounts, has the superblock say that this is the next inode's number, and mounts again.
  void set_next_inode(std::uint64_t number) {
    rig->unmount();
    edit_superblock([number](format::Superblock& superblock) { superblock.next_inode = number; });
    ASSERT_TRUE(rig->try_mount());
  }
  // What comes of each way to make an inode.
  [[nodiscard]] std::vector<std::optional<ErrorCode>> make_all() {
    Volume& volume = rig->volume();
    Context& context = rig->context();
    return {error_of(volume.make_node(context, directory, "new", {S_IFREG | 0644, 0})),
            error_of(volume.make_node(context, directory, "new directory", {S_IFDIR | 0755, 0})),
            error_of(volume.make_symlink(context, directory, "new link", "target")),
            error_of(volume.make_unnamed(context, directory, {S_IFREG | 0644, 0})),
            error_of(volume.rename(context, directory, "f", directory, "g", RENAME_WHITEOUT))};
  }

  // Every kind of operation; what they say does not matter.
  void use(InodeNumber target);
};

void Hostile::use(InodeNumber target) {
  Volume& volume = rig->volume();
  Context& context = rig->context();
  const auto ignore = [](const auto& outcome) { static_cast<void>(outcome.has_value()); };
  const std::string data = pattern(9000, 1);
  ignore(volume.attributes(context, target));
  ignore(rig->try_read(target, 0, 100'000));
  ignore(rig->try_read(target, 1ULL << 40, 10));
  ignore(volume.seek(context, target, 0, SEEK_DATA));
  ignore(volume.seek(context, target, 0, SEEK_HOLE));
  ignore(volume.write(context, target, 100, std::as_bytes(std::span(data)), true));
  ignore(volume.allocate(context, target, FALLOC_FL_ZERO_RANGE, 10, 50'000));
  ignore(volume.allocate(context, target, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 50'000));
  AttributeChange change;
  change.fields = AttributeChange::size_field;
  change.size = 4097;
  ignore(volume.set_attributes(context, target, change));
  ignore(volume.get_xattr(context, target, "user.x"));
  ignore(volume.list_xattrs(context, target));
  ignore(volume.set_xattr(context, target, "user.x", std::as_bytes(std::span(data)), 0));
  ignore(volume.remove_xattr(context, target, "user.x"));
  ignore(volume.read_symlink(context, target));
  ignore(volume.lookup(context, target, "f"));
  ignore(volume.lookup(context, target, ".."));
  ignore(volume.make_node(context, target, "new", {S_IFREG | 0644, 0}));
  ignore(
      volume.read_directory(context, target, 0, true, [](const DirectoryEntry&, const Attributes*) { return true; }));
  ignore(volume.rename(context, target, "f", kRootInode, "moved", 0));
  ignore(volume.rename(context, kRootInode, "d", target, "x", 0));
  ignore(volume.unlink(context, target, "f"));
  ignore(volume.remove_directory(context, kRootInode, "d"));
  ignore(volume.unlink(context, directory, "f"));
}

TEST_F(Hostile, ExtentsThatOverlapOrLeaveTheVolume) {
  format::InodeItem item = item_of(file);
  item.size = 1'000'000;
  item.blocks = 3;
  put_inode(file, item);
  const std::uint64_t blocks = rig->volume().store().layout().block_count();
  put_extent(file, 0, 5000, 10, format::kExtentNoChecksum);
  put_extent(file, 5, 6000, 10, format::kExtentNoChecksum);
  rig->remount();
  EXPECT_EQ(error_of(rig->try_read(file, 0, 100'000)), ErrorCode::corrupt_structure);
  put_extent(file, 0, blocks - 2, 10, format::kExtentNoChecksum);
  EXPECT_EQ(error_of(rig->try_read(file, 0, 100)), ErrorCode::corrupt_structure);
  put_extent(file, 0, 1, 4, format::kExtentUnwritten);  // the superblocks
  EXPECT_EQ(error_of(rig->volume().write(rig->context(), file, 0, std::as_bytes(std::span("x", 1)), false)),
            ErrorCode::corrupt_structure);
  use(file);
}

TEST_F(Hostile, DirectoriesThatHoldEachOther) {
  const InodeNumber below = rig->make_directory(directory, "below");
  format::InodeItem item = item_of(directory);
  item.parent = below.value();
  put_inode(directory, item);
  rig->remount();
  const InodeNumber aside = rig->make_directory(kRootInode, "aside");
  EXPECT_EQ(error_of(rig->volume().rename(rig->context(), kRootInode, "aside", below, "x", 0)),
            ErrorCode::corrupt_structure);
  use(below);
  use(aside);
}

TEST_F(Hostile, ANameThatLeadsNowhere) {
  format::DirentEntry entry{};
  entry.inode = 987'654;
  entry.name_length = 1;
  entry.type = 8;
  std::vector<std::byte> value(sizeof entry + 1, std::byte{'z'});
  std::memcpy(value.data(), &entry, sizeof entry);
  const std::uint64_t hash = format::hash_name("z", rig->volume().store().superblock().hash_seed);
  put_bytes({directory, ItemKind::dirent, hash}, value);
  EXPECT_EQ(error_of(rig->volume().lookup(rig->context(), directory, "z")), ErrorCode::corrupt_structure);
  EXPECT_EQ(rig->list(directory).size(), 4U);
  use(directory);
}

TEST_F(Hostile, AnOrphanWithNames) {
  format::OrphanItem orphan{};
  orphan.reason = static_cast<std::uint8_t>(format::OrphanReason::unlinked);
  put_bytes({format::kOrphanOwner, ItemKind::orphan, file.value()}, std::as_bytes(std::span(&orphan, 1)));
  put_bytes({format::kOrphanOwner, ItemKind::orphan, 424'242}, std::as_bytes(std::span(&orphan, 1)));
  orphan.reason = static_cast<std::uint8_t>(format::OrphanReason::truncated);
  put_bytes({format::kOrphanOwner, ItemKind::orphan, directory.value()}, std::as_bytes(std::span(&orphan, 1)));
  rig->remount();
  EXPECT_EQ(rig->find(directory, "f"), file);
  EXPECT_EQ(rig->stat(file).links, 1U);
}

// Who is told so would be asked to truncate it again and again.
TEST_F(Hostile, AHalfTruncatedDirectory) {
  const InodeNumber target = rig->volume().make_symlink(rig->context(), kRootInode, "l", "target")->inode;
  format::OrphanItem orphan{};
  orphan.reason = static_cast<std::uint8_t>(format::OrphanReason::truncated);
  for (const InodeNumber number : {directory, target})
    put_bytes({format::kOrphanOwner, ItemKind::orphan, number.value()}, std::as_bytes(std::span(&orphan, 1)));
  rig->remount();
  rig->remount();
  EXPECT_EQ(rig->volume().store().item_count(ItemKind::orphan), 0U);
  EXPECT_EQ(rig->find(directory, "f"), file);
  EXPECT_EQ(rig->volume().read_symlink(rig->context(), target).value_or(""), "target");
  rig->check();
}

TEST_F(Hostile, InodeNumbersThatAreInUse) {
  for (int i = 0; i < 50; ++i) rig->make_file(directory, "file " + std::to_string(i));
  const std::vector<std::string> names = rig->names(directory);
  rig->write(file, 0, "contents");
  set_next_inode(2);
  // Some of them live in memory, some on the device.
  for (int i = 0; i < 20; ++i) static_cast<void>(rig->hold(directory, "file " + std::to_string(i)));
  for (int round = 0; round < 10; ++round)
    EXPECT_THAT(make_all(), ::testing::Each(std::optional(ErrorCode::corrupt_structure)));
  EXPECT_EQ(rig->names(directory), names);
  EXPECT_EQ(rig->read(file, 0, 100), "contents");
  rig->check();
  // Those behind are free.
  set_next_inode(1000);
  EXPECT_THAT(make_all(), ::testing::Each(std::optional<ErrorCode>()));
}

TEST_F(Hostile, NoInodeNumberLeft) {
  set_next_inode(format::kInodeNumberLimit - 2);
  rig->make_file(directory, "last but one");
  rig->make_file(directory, "last");
  EXPECT_THAT(make_all(), ::testing::Each(std::optional(ErrorCode::no_space)));
  ASSERT_TRUE(rig->volume().sync_all(rig->context()));
  rig->crash();
  rig->mount();
  EXPECT_THAT(make_all(), ::testing::Each(std::optional(ErrorCode::no_space)));
  EXPECT_TRUE(rig->volume().unlink(rig->context(), directory, "last"));
  rig->check();
  rig->remount();
  EXPECT_EQ(rig->find(directory, "last but one").value(), format::kInodeNumberLimit - 2);
}

TEST_F(Hostile, TheLastLogEpoch) {
  rig->unmount();
  edit_superblock([](format::Superblock& superblock) { superblock.log_epoch = ~0ULL; });
  ASSERT_TRUE(rig->try_mount());
  rig->make_file(directory, "g");
  ASSERT_TRUE(rig->volume().sync_all(rig->context()));
  rig->crash();
  ASSERT_TRUE(rig->try_mount());
  rig->remount();
  EXPECT_EQ(rig->names(directory), (std::vector<std::string>{"f", "g"}));
  rig->check();
}

TEST_F(Hostile, TheLastGeneration) {
  rig->unmount();
  // In its own slot still.
  const auto set_generation = [this](std::uint64_t last) {
    edit_superblock([last](format::Superblock& superblock) {
      superblock.generation = last - (last - superblock.generation) % format::kSuperblockSlots;
    });
  };
  set_generation(format::kWritableGenerations - 1);
  // Every mount makes a checkpoint.
  int mounts = 0;
  while (mounts < 5 && rig->try_mount()) {
    ++mounts;
    EXPECT_EQ(rig->find(directory, "f"), file);
    rig->crash();
  }
  EXPECT_GE(mounts, 1);
  EXPECT_LE(mounts, 2);
}

TEST_F(Hostile, RandomItems) {
  configure_log("test", LogLevel::error, LogSink::standard_error);
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    rig = std::make_unique<Rig>(kMiddleNodes);
    directory = rig->make_directory(kRootInode, "d");
    file = rig->make_file(directory, "f");
    rig->write(file, 0, pattern(random() % 2 == 0 ? 100 : 30'000, 1));
    ASSERT_TRUE(rig->volume().set_xattr(rig->context(), file, "user.x", {}, 0));
    // Some items changed in some bytes, some added.
    std::vector<std::pair<Key, store::ItemValue>> items;
    ASSERT_TRUE(rig->volume().store().scan(rig->io(), format::kLowestKey, format::kHighestKey,
                                           [&](const Key& key, std::span<const std::byte> value) {
                                             items.emplace_back(key, store::ItemValue(value.begin(), value.end()));
                                             return true;
                                           }));
    for (int i = 0; i < 3; ++i) {
      auto [key, value] = items[random() % items.size()];
      if (random() % 4 == 0) key.kind = ItemKind{static_cast<std::uint8_t>(1 + random() % 9)};
      if (random() % 6 == 0) key.offset = random();
      if (random() % 6 == 0 && !value.empty()) value.resize(random() % value.size());
      for (std::uint64_t n = random() % 5; n > 0 && !value.empty(); --n) {
        value[random() % value.size()] = std::byte(random() & 0xff);
      }
      put_bytes(key, value);
    }
    ASSERT_TRUE(rig->volume().sync_all(rig->context()));
    rig->crash();
    if (!rig->try_mount()) continue;
    use(file);
    use(directory);
    use(kRootInode);
  }
}

}  // namespace
}  // namespace ashlar::volume::testing
