// Creating, finding, linking and removing names.
#include <dirent.h>

#include <algorithm>
#include <set>

#include "fs/format/items.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

class Names : public ::testing::TestWithParam<Geometry> {
 protected:
  Rig rig{GetParam()};
  Volume& volume() { return rig.volume(); }
  Context& context() { return rig.context(); }
};

TEST_P(Names, EmptyVolumeHasOnlyItsRoot) {
  const Attributes root = rig.stat(kRootInode);
  EXPECT_TRUE(S_ISDIR(root.mode));
  EXPECT_EQ(root.links, 2U);
  const auto entries = rig.list(kRootInode);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].name, ".");
  EXPECT_EQ(entries[1].name, "..");
  EXPECT_EQ(entries[1].inode, kRootInode.value());
  rig.check();
}

TEST_P(Names, AFileIsFoundAgainAfterAnotherMount) {
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  const InodeNumber file = rig.make_file(directory, "f", 0640);
  EXPECT_EQ(rig.stat(kRootInode).links, 3U);
  rig.remount();
  EXPECT_EQ(rig.find(kRootInode, "d"), directory);
  EXPECT_EQ(rig.find(directory, "f"), file);
  EXPECT_EQ(rig.find(directory, ".."), kRootInode);
  EXPECT_EQ(rig.find(directory, "."), directory);
  const Attributes attributes = rig.stat(file);
  EXPECT_EQ(attributes.mode, S_IFREG | 0640U);
  EXPECT_EQ(attributes.links, 1U);
  EXPECT_EQ(attributes.uid, 1000U);
  EXPECT_EQ(attributes.gid, 100U);
  EXPECT_EQ(attributes.born.tv_sec, 1'000'000);
  EXPECT_EQ(attributes.modified.tv_nsec, 42);
  rig.check();
}

TEST_P(Names, NamesAreChecked) {
  const std::string longest(255, 'x');
  rig.make_file(kRootInode, longest);
  EXPECT_EQ(rig.find(kRootInode, longest), rig.find(kRootInode, longest));
  const NewNode node{S_IFREG | 0644, 0};
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, longest + "x", node)), ErrorCode::name_too_long);
  EXPECT_EQ(error_of(volume().lookup(context(), kRootInode, longest + "x")), ErrorCode::name_too_long);
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, "a/b", node)), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, std::string_view("a\0b", 3), node)),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, "", node)), ErrorCode::not_found);
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, ".", node)), ErrorCode::already_exists);
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, "..", node)), ErrorCode::already_exists);
}

TEST_P(Names, ErrorsOfCreation) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const NewNode node{S_IFREG | 0644, 0};
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, "f", node)), ErrorCode::already_exists);
  EXPECT_EQ(error_of(volume().make_node(context(), file, "x", node)), ErrorCode::not_a_directory);
  EXPECT_EQ(error_of(volume().make_node(context(), InodeNumber{999}, "x", node)), ErrorCode::stale_handle);
  EXPECT_EQ(error_of(volume().lookup(context(), kRootInode, "none")), ErrorCode::not_found);
  EXPECT_EQ(error_of(volume().lookup(context(), file, "none")), ErrorCode::not_a_directory);
  rig.check();
}

TEST_P(Names, EveryKindOfNode) {
  const struct {
    std::uint32_t mode;
    std::uint32_t device;
  } kinds[] = {{S_IFIFO, 0}, {S_IFSOCK, 0}, {S_IFCHR, 0x103}, {S_IFBLK, 0x801}, {S_IFREG, 0}};
  for (const auto& kind : kinds) {
    const std::string name = "node" + std::to_string(kind.mode);
    const auto made = volume().make_node(context(), kRootInode, name, {kind.mode | 0600U, kind.device});
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(made->device, kind.device);
    rig.forget(made->inode);
  }
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, "bad", {0644, 0})), ErrorCode::invalid_argument);
  rig.remount();
  for (const auto& kind : kinds) {
    const Attributes attributes = rig.stat(rig.find(kRootInode, "node" + std::to_string(kind.mode)));
    EXPECT_EQ(attributes.mode & S_IFMT, kind.mode);
    EXPECT_EQ(attributes.device, kind.device);
  }
  for (const Listed& entry : rig.list(kRootInode)) {
    if (!entry.name.starts_with("node")) continue;
    EXPECT_EQ(entry.name, "node" + std::to_string(entry.type << 12));
  }
  rig.check();
}

TEST_P(Names, SymbolicLinks) {
  const auto made = volume().make_symlink(context(), kRootInode, "link", "some/where");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->size, 10U);
  EXPECT_EQ(made->mode, S_IFLNK | 0777U);
  rig.remount();
  const InodeNumber link = rig.find(kRootInode, "link");
  EXPECT_EQ(volume().read_symlink(context(), link).value_or("?"), "some/where");
  EXPECT_EQ(error_of(volume().read_symlink(context(), kRootInode)), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of(volume().make_symlink(context(), kRootInode, "long", std::string(4096, 'x'))),
            ErrorCode::name_too_long);
  EXPECT_EQ(error_of(volume().make_symlink(context(), kRootInode, "none", "")), ErrorCode::not_found);
  EXPECT_TRUE(volume().unlink(context(), kRootInode, "link"));
  rig.check();
}

TEST_P(Names, HardLinks) {
  const InodeNumber file = rig.make_file(kRootInode, "a");
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  context().now.tv_sec += 5;
  const auto linked = volume().link(context(), file, directory, "b");
  ASSERT_TRUE(linked);
  EXPECT_EQ(linked->links, 2U);
  EXPECT_EQ(linked->changed.tv_sec, context().now.tv_sec);
  rig.forget(file);
  EXPECT_EQ(error_of(volume().link(context(), file, directory, "b")), ErrorCode::already_exists);
  EXPECT_EQ(error_of(volume().link(context(), directory, kRootInode, "d2")), ErrorCode::not_permitted);
  EXPECT_TRUE(volume().unlink(context(), kRootInode, "a"));
  rig.check();
  EXPECT_EQ(rig.find(directory, "b"), file);
  EXPECT_EQ(rig.stat(file).links, 1U);
}

TEST_P(Names, RemovalErrors) {
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  rig.make_file(directory, "f");
  EXPECT_EQ(error_of(volume().unlink(context(), kRootInode, "d")), ErrorCode::is_a_directory);
  EXPECT_EQ(error_of(volume().unlink(context(), kRootInode, "x")), ErrorCode::not_found);
  EXPECT_EQ(error_of(volume().unlink(context(), rig.find(directory, "f"), "x")), ErrorCode::not_a_directory);
  EXPECT_EQ(error_of(volume().remove_directory(context(), directory, "f")), ErrorCode::not_a_directory);
  EXPECT_EQ(error_of(volume().remove_directory(context(), kRootInode, "d")), ErrorCode::directory_not_empty);
  EXPECT_EQ(error_of(volume().remove_directory(context(), kRootInode, ".")), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of(volume().remove_directory(context(), kRootInode, "..")), ErrorCode::directory_not_empty);
  EXPECT_TRUE(volume().unlink(context(), directory, "f"));
  EXPECT_TRUE(volume().remove_directory(context(), kRootInode, "d"));
  EXPECT_EQ(error_of(volume().remove_directory(context(), kRootInode, "d")), ErrorCode::not_found);
  EXPECT_EQ(rig.stat(kRootInode).links, 2U);
  rig.check();
}

TEST_P(Names, ARemovedDirectoryInUseTakesNoNames) {
  rig.make_directory(kRootInode, "d");
  const InodeNumber directory = rig.hold(kRootInode, "d");
  EXPECT_TRUE(volume().remove_directory(context(), kRootInode, "d"));
  EXPECT_EQ(rig.stat(directory).links, 0U);
  EXPECT_EQ(error_of(volume().make_node(context(), directory, "x", {S_IFREG | 0644, 0})), ErrorCode::not_found);
  rig.check();
  rig.forget(directory);
  EXPECT_EQ(error_of(volume().attributes(context(), directory)), ErrorCode::stale_handle);
  rig.check();
}

TEST_P(Names, SetgidDirectoriesPassTheirGroupOn) {
  const InodeNumber directory = rig.make_directory(kRootInode, "d", 0755);
  AttributeChange change;
  change.fields = AttributeChange::gid_field | AttributeChange::mode_field;
  change.gid = 77;
  change.mode = 02755;
  ASSERT_TRUE(volume().set_attributes(context(), directory, change));
  const InodeNumber file = rig.make_file(directory, "f");
  const InodeNumber below = rig.make_directory(directory, "below");
  EXPECT_EQ(rig.stat(file).gid, 77U);
  EXPECT_EQ(rig.stat(file).mode, S_IFREG | 0644U);
  EXPECT_EQ(rig.stat(below).gid, 77U);
  EXPECT_EQ(rig.stat(below).mode, S_IFDIR | 02755U);
}

TEST_P(Names, TimesOfTheDirectory) {
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  const auto expect_touched = [&] {
    EXPECT_EQ(rig.stat(directory).modified.tv_sec, context().now.tv_sec);
    EXPECT_EQ(rig.stat(directory).changed.tv_sec, context().now.tv_sec);
  };
  context().now.tv_sec += 10;
  const InodeNumber file = rig.make_file(directory, "f");
  expect_touched();
  context().now.tv_sec += 10;
  ASSERT_TRUE(volume().link(context(), file, directory, "g"));
  expect_touched();
  context().now.tv_sec += 10;
  ASSERT_TRUE(volume().unlink(context(), directory, "g"));
  expect_touched();
  EXPECT_EQ(rig.stat(file).changed.tv_sec, context().now.tv_sec);
  EXPECT_NE(rig.stat(file).modified.tv_sec, context().now.tv_sec);
}

TEST_P(Names, AnUnnamedFileIsNamedLaterOrGone) {
  const std::uint64_t free = rig.free_blocks();
  const auto made = volume().make_unnamed(context(), kRootInode, {S_IFREG | 0600, 0});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->links, 0U);
  rig.write(made->inode, 0, pattern(100'000, 1));
  rig.check();
  ASSERT_TRUE(volume().link(context(), made->inode, kRootInode, "named"));
  rig.check();
  volume().forget(rig.io(), made->inode, 2);
  EXPECT_EQ(rig.read(rig.find(kRootInode, "named"), 0, 200'000), pattern(100'000, 1));
  const auto other = volume().make_unnamed(context(), kRootInode, {S_IFREG | 0600, 0});
  ASSERT_TRUE(other);
  rig.write(other->inode, 0, pattern(100'000, 2));
  rig.remount();
  rig.check();
  EXPECT_EQ(rig.names(kRootInode), std::vector<std::string>{"named"});
  ASSERT_TRUE(volume().unlink(context(), kRootInode, "named"));
  EXPECT_EQ(rig.free_blocks(), free);
}

TEST_P(Names, ManyNamesListOnceEachWithStablePositions) {
  constexpr int kCount = 2000;
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  for (int i = 0; i < kCount; ++i) rig.make_file(directory, "name-" + std::to_string(i));
  rig.remount();
  // In small steps, with entries coming and going between them.
  std::multiset<std::string> seen;
  std::uint64_t position = 0;
  for (int step = 0; step < 10 * kCount; ++step) {
    int taken = 0;
    ASSERT_TRUE(volume().read_directory(context(), directory, position, false,
                                        [&](const DirectoryEntry& entry, const Attributes*) {
                                          if (taken == 7) return false;
                                          ++taken;
                                          seen.emplace(entry.name);
                                          position = entry.position;
                                          return true;
                                        }));
    if (taken == 0) break;
    const std::string other = "other-" + std::to_string(step);
    rig.make_file(directory, other);
    if (step % 2 == 0) {
      ASSERT_TRUE(volume().unlink(context(), directory, other));
    }
  }
  EXPECT_EQ(seen.count("."), 1U);
  EXPECT_EQ(seen.count(".."), 1U);
  for (int i = 0; i < kCount; ++i) EXPECT_EQ(seen.count("name-" + std::to_string(i)), 1U);
  rig.check();
}

TEST_P(Names, ListingWithAttributesCountsReferences) {
  rig.make_file(kRootInode, "a");
  rig.make_file(kRootInode, "b");
  std::vector<InodeNumber> accepted;
  ASSERT_TRUE(volume().read_directory(context(), kRootInode, 0, true,
                                      [&](const DirectoryEntry& entry, const Attributes* attributes) {
                                        EXPECT_NE(attributes, nullptr);
                                        EXPECT_EQ(attributes->inode, entry.inode);
                                        if (entry.name == "." || entry.name == "..") return true;
                                        if (!accepted.empty()) return false;
                                        accepted.push_back(entry.inode);
                                        return true;
                                      }));
  ASSERT_EQ(accepted.size(), 1U);
  ASSERT_TRUE(volume().unlink(context(), kRootInode, "a"));
  ASSERT_TRUE(volume().unlink(context(), kRootInode, "b"));
  // The one that was accepted lives on, the other does not.
  EXPECT_EQ(rig.stat(accepted[0]).links, 0U);
  EXPECT_EQ(volume().space().inodes, 2U);
  rig.forget(accepted[0]);
  EXPECT_EQ(volume().space().inodes, 1U);
}

INSTANTIATE_TEST_SUITE_P(Geometries, Names, ::testing::Values(kSmallNodes, kMiddleNodes, kLargeNodes));

}  // namespace
}  // namespace ashlar::volume::testing
