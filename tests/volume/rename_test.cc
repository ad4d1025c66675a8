// Rename in all its forms.
#include <fcntl.h>
#include <stdio.h>

#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

class Renames : public ::testing::Test {
 protected:
  Rig rig{kSmallNodes};
  Volume& volume() { return rig.volume(); }
  Context& context() { return rig.context(); }
  std::optional<ErrorCode> rename(InodeNumber from, std::string_view name, InodeNumber to, std::string_view new_name,
                                  unsigned flags = 0) {
    return error_of(volume().rename(context(), from, name, to, new_name, flags));
  }
  void TearDown() override { rig.check(); }

  using Names = std::vector<std::string>;
  static constexpr auto kDone = std::nullopt;
};

TEST_F(Renames, WithinADirectory) {
  const InodeNumber file = rig.make_file(kRootInode, "a");
  context().now.tv_sec += 9;
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "b"), kDone);
  EXPECT_EQ(rig.names(kRootInode), Names{"b"});
  EXPECT_EQ(rig.find(kRootInode, "b"), file);
  EXPECT_EQ(rig.stat(file).changed.tv_sec, context().now.tv_sec);
  EXPECT_EQ(rig.stat(kRootInode).modified.tv_sec, context().now.tv_sec);
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "c"), ErrorCode::not_found);
  EXPECT_EQ(rename(kRootInode, "b", kRootInode, "b"), kDone);
}

TEST_F(Renames, ADirectoryTakesItsParentAlong) {
  const InodeNumber one = rig.make_directory(kRootInode, "one");
  const InodeNumber two = rig.make_directory(kRootInode, "two");
  const InodeNumber child = rig.make_directory(one, "child");
  EXPECT_EQ(rig.stat(one).links, 3U);
  EXPECT_EQ(rename(one, "child", two, "moved"), kDone);
  EXPECT_EQ(rig.stat(one).links, 2U);
  EXPECT_EQ(rig.stat(two).links, 3U);
  EXPECT_EQ(rig.find(child, ".."), two);
  EXPECT_EQ(rig.list(child)[1].inode, two.value());
}

TEST_F(Renames, NoDirectoryIntoItself) {
  const InodeNumber a = rig.make_directory(kRootInode, "a");
  const InodeNumber b = rig.make_directory(a, "b");
  const InodeNumber c = rig.make_directory(b, "c");
  rig.make_directory(kRootInode, "x");
  EXPECT_EQ(rename(kRootInode, "a", a, "x"), ErrorCode::invalid_argument);
  EXPECT_EQ(rename(kRootInode, "a", c, "x"), ErrorCode::invalid_argument);
  EXPECT_EQ(rename(a, "b", c, "x"), ErrorCode::invalid_argument);
  EXPECT_EQ(rename(a, "b", kRootInode, "a"), ErrorCode::directory_not_empty);
  EXPECT_EQ(rename(b, "c", kRootInode, "a", RENAME_EXCHANGE), ErrorCode::invalid_argument);
  EXPECT_EQ(rename(kRootInode, "a", b, "c", RENAME_EXCHANGE), ErrorCode::invalid_argument);
  EXPECT_EQ(rename(b, "c", kRootInode, "x", RENAME_EXCHANGE), kDone);
}

TEST_F(Renames, ReplacingObeysTypes) {
  rig.make_file(kRootInode, "file");
  const InodeNumber other = rig.make_file(kRootInode, "other");
  rig.make_directory(kRootInode, "empty");
  const InodeNumber full = rig.make_directory(kRootInode, "full");
  rig.make_file(full, "x");
  const InodeNumber moved = rig.make_directory(kRootInode, "moved");
  EXPECT_EQ(rename(kRootInode, "file", kRootInode, "empty"), ErrorCode::is_a_directory);
  EXPECT_EQ(rename(kRootInode, "moved", kRootInode, "file"), ErrorCode::not_a_directory);
  EXPECT_EQ(rename(kRootInode, "moved", kRootInode, "full"), ErrorCode::directory_not_empty);
  EXPECT_EQ(rename(kRootInode, "moved", kRootInode, "empty"), kDone);
  EXPECT_EQ(rig.find(kRootInode, "empty"), moved);
  EXPECT_EQ(rename(kRootInode, "other", kRootInode, "file"), kDone);
  EXPECT_EQ(rig.find(kRootInode, "file"), other);
  EXPECT_EQ(rig.names(kRootInode), (Names{"empty", "file", "full"}));
  EXPECT_EQ(rig.stat(kRootInode).links, 4U);
  EXPECT_EQ(volume().space().inodes, 5U);
}

TEST_F(Renames, AReplacedFileInUseLivesOn) {
  rig.make_file(kRootInode, "new");
  const InodeNumber old = rig.make_file(kRootInode, "old");
  rig.hold(kRootInode, "old");
  rig.write(old, 0, "still here");
  EXPECT_EQ(rename(kRootInode, "new", kRootInode, "old"), kDone);
  EXPECT_EQ(rig.read(old, 0, 100), "still here");
  EXPECT_EQ(rig.stat(old).links, 0U);
  rig.check();
  rig.forget(old);
  EXPECT_EQ(error_of(volume().attributes(context(), old)), ErrorCode::stale_handle);
}

TEST_F(Renames, TwoNamesOfOneFileStay) {
  const InodeNumber file = rig.make_file(kRootInode, "a");
  ASSERT_TRUE(volume().link(context(), file, kRootInode, "b"));
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "b"), kDone);
  EXPECT_EQ(rig.names(kRootInode), (Names{"a", "b"}));
}

TEST_F(Renames, NoReplace) {
  rig.make_file(kRootInode, "a");
  rig.make_file(kRootInode, "b");
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "b", RENAME_NOREPLACE), ErrorCode::already_exists);
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "a", RENAME_NOREPLACE), ErrorCode::already_exists);
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "c", RENAME_NOREPLACE), kDone);
}

TEST_F(Renames, ExchangeOfAFileAndADirectory) {
  const InodeNumber one = rig.make_directory(kRootInode, "one");
  const InodeNumber two = rig.make_directory(kRootInode, "two");
  const InodeNumber directory = rig.make_directory(one, "d");
  const InodeNumber file = rig.make_file(two, "f");
  EXPECT_EQ(rename(one, "d", two, "x", RENAME_EXCHANGE), ErrorCode::not_found);
  EXPECT_EQ(rename(one, "d", two, "f", RENAME_EXCHANGE), kDone);
  EXPECT_EQ(rig.find(one, "d"), file);
  EXPECT_EQ(rig.find(two, "f"), directory);
  EXPECT_EQ(rig.stat(one).links, 2U);
  EXPECT_EQ(rig.stat(two).links, 3U);
  EXPECT_EQ(rig.find(directory, ".."), two);
}

TEST_F(Renames, WhiteoutStaysBehind) {
  rig.make_file(kRootInode, "a");
  rig.make_file(kRootInode, "b");
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "b", RENAME_WHITEOUT), kDone);
  const Attributes whiteout = rig.stat(rig.find(kRootInode, "a"));
  EXPECT_EQ(whiteout.mode & S_IFMT, static_cast<std::uint32_t>(S_IFCHR));
  EXPECT_EQ(whiteout.device, 0U);
  EXPECT_EQ(rig.names(kRootInode), (Names{"a", "b"}));
}

TEST_F(Renames, BadArguments) {
  rig.make_file(kRootInode, "a");
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), ErrorCode::invalid_argument);
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, "b", 0x80), ErrorCode::invalid_argument);
  EXPECT_EQ(rename(kRootInode, ".", kRootInode, "b"), ErrorCode::busy);
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, ".."), ErrorCode::busy);
  EXPECT_EQ(rename(kRootInode, "a", kRootInode, std::string(256, 'x')), ErrorCode::name_too_long);
  EXPECT_EQ(rename(kRootInode, "a", rig.find(kRootInode, "a"), "x"), ErrorCode::not_a_directory);
}

}  // namespace
}  // namespace ashlar::volume::testing
