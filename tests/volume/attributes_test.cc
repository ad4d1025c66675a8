// Attributes, flags, extended attributes, preallocation, space.
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <limits>

#include "fs/format/items.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class OneFile : public ::testing::TestWithParam<Geometry> {
 protected:
  Rig rig{GetParam()};
  InodeNumber file = rig.make_file(kRootInode, "f");
  Volume& volume() { return rig.volume(); }
  Context& context() { return rig.context(); }
  std::uint64_t block() const { return rig.block_size(); }
  void TearDown() override { rig.check(); }

  Result<Attributes> change(std::uint32_t fields, const AttributeChange& values) {
    AttributeChange change = values;
    change.fields = fields;
    return volume().set_attributes(context(), file, change);
  }
  void set_mode(std::uint32_t mode) {
    AttributeChange values;
    values.mode = mode;
    ASSERT_TRUE(change(AttributeChange::mode_field, values));
  }
};

TEST_P(OneFile, TimesOfAnyCentury) {
  AttributeChange values;
  values.accessed = {-2'000'000'000'000LL, 999'999'999};
  values.modified = {std::numeric_limits<std::int64_t>::max(), 0};
  values.changed = {5'000'000'000LL, 1};
  ASSERT_TRUE(change(AttributeChange::accessed_field | AttributeChange::modified_field | AttributeChange::changed_field,
                     values));
  rig.remount();
  const Attributes attributes = rig.stat(file);
  EXPECT_EQ(attributes.accessed.tv_sec, -2'000'000'000'000LL);
  EXPECT_EQ(attributes.accessed.tv_nsec, 999'999'999);
  EXPECT_EQ(attributes.modified.tv_sec, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(attributes.changed.tv_sec, 5'000'000'000LL);
  values.accessed.tv_nsec = 1'000'000'000;
  EXPECT_EQ(error_of(change(AttributeChange::accessed_field, values)), ErrorCode::invalid_argument);
}

// A crash undoes that the file was made, and its number is given out again.
TEST_P(OneFile, GenerationsTellInodesOfOneNumberApart) {
  const Generation lost = rig.stat(file).generation;
  rig.crash();
  rig.mount();
  const auto made = volume().make_node(context(), kRootInode, "g", {S_IFREG | 0644, 0});
  ASSERT_TRUE(made);
  ASSERT_EQ(made->inode, file);
  EXPECT_NE(made->generation, lost);
  ASSERT_TRUE(volume().store().checkpoint(rig.io()));
  set_mode(0600);
  EXPECT_EQ(rig.stat(file).generation, made->generation);
  rig.remount();
  EXPECT_EQ(rig.stat(file).generation, made->generation);
}

TEST_P(OneFile, ModeAndOwner) {
  AttributeChange values;
  values.mode = S_IFDIR | 06751;  // a type has no say here
  values.uid = 5;
  values.gid = 6;
  context().now.tv_sec += 3;
  const auto changed =
      change(AttributeChange::mode_field | AttributeChange::uid_field | AttributeChange::gid_field, values);
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->mode, S_IFREG | 06751U);
  EXPECT_EQ(changed->uid, 5U);
  EXPECT_EQ(changed->gid, 6U);
  EXPECT_EQ(changed->changed.tv_sec, context().now.tv_sec);
  EXPECT_NE(changed->modified.tv_sec, context().now.tv_sec);
}

TEST_P(OneFile, PrivilegesGoWhenContentsChange) {
  ASSERT_TRUE(volume().set_xattr(context(), file, "security.capability", bytes_of("caps"), 0));
  set_mode(06755);
  ASSERT_TRUE(volume().write(context(), file, 0, bytes_of("x"), true));
  EXPECT_EQ(rig.stat(file).mode, S_IFREG | 0755U);
  EXPECT_EQ(error_of(volume().get_xattr(context(), file, "security.capability")), ErrorCode::no_attribute);
  set_mode(06745);  // not executable for the group: S_ISGID goes only if it is not the caller's
  ASSERT_TRUE(change(AttributeChange::clear_suid_sgid | AttributeChange::uid_field, {}));
  EXPECT_EQ(rig.stat(file).mode, S_IFREG | 02745U);
  context().in_group = [](gid_t) { return false; };
  ASSERT_TRUE(volume().write(context(), file, 0, bytes_of("x"), true));
  EXPECT_EQ(rig.stat(file).mode, S_IFREG | 0745U);
  context().in_group = nullptr;
  set_mode(06755);
  rig.write(file, 0, "y");
  EXPECT_EQ(rig.stat(file).mode, S_IFREG | 06755U);
}

// As libarchive extracts a program: contents, then attributes, then close(2), which brings the contents.
TEST_P(OneFile, WhatComesFromThePageCacheKeepsCapabilitiesSetSince) {
  ASSERT_TRUE(volume().set_xattr(context(), file, "security.capability", bytes_of("caps"), 0));
  ASSERT_TRUE(volume().write(context(), file, 0, bytes_of("held back"), false, WriteOrigin::page_cache));
  EXPECT_TRUE(volume().get_xattr(context(), file, "security.capability"));
}

TEST_P(OneFile, TheSizeThatItHasIsNoChange) {
  AttributeChange resize;
  resize.size = rig.stat(file).size;
  const Attributes before = rig.stat(file);
  context().now.tv_sec += 3;
  ASSERT_TRUE(change(AttributeChange::size_field, resize));
  EXPECT_EQ(rig.stat(file).modified.tv_sec, before.modified.tv_sec);
  EXPECT_EQ(rig.stat(file).changed.tv_sec, before.changed.tv_sec);
  ++resize.size;
  ASSERT_TRUE(change(AttributeChange::size_field, resize));
  EXPECT_EQ(rig.stat(file).modified.tv_sec, context().now.tv_sec);
  EXPECT_EQ(rig.stat(file).changed.tv_sec, context().now.tv_sec);
}

TEST_P(OneFile, WhoBringsTheTimesFindsThemAsTheyWere) {
  std::vector<std::byte> buffer(kMaxWriteBytes + 2 * rig.block_size());
  const auto change_contents = [&] {
    ASSERT_TRUE(volume().write(context(), file, 0, bytes_of("held back"), false, WriteOrigin::page_cache));
    ASSERT_TRUE(volume().write(context(), file, 0, bytes_of("at once"), false));
    ASSERT_TRUE(volume().allocate(context(), file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 2));  // in the tree
    ASSERT_TRUE(volume().allocate(context(), file, 0, 0, 100'000));
    ASSERT_TRUE(volume().allocate(context(), file, FALLOC_FL_KEEP_SIZE, 100'000, 1));
    ASSERT_TRUE(volume().copy(context(), {file, 0, file, 50'000, 5}, false, buffer));
  };
  const Attributes before = rig.stat(file);
  context().now.tv_sec += 3;
  context().brings_times = true;
  ASSERT_NO_FATAL_FAILURE(change_contents());
  EXPECT_EQ(rig.stat(file).modified.tv_sec, before.modified.tv_sec);
  EXPECT_EQ(rig.stat(file).changed.tv_sec, before.changed.tv_sec);
  context().brings_times = false;
  ASSERT_NO_FATAL_FAILURE(change_contents());
  EXPECT_EQ(rig.stat(file).modified.tv_sec, context().now.tv_sec);
}

TEST_P(OneFile, FlagsForbid) {
  ASSERT_TRUE(volume().set_inode_flags(context(), file, FS_IMMUTABLE_FL));
  EXPECT_EQ(volume().inode_flags(context(), file).value_or(0), static_cast<std::uint32_t>(FS_IMMUTABLE_FL));
  EXPECT_EQ(error_of(volume().write(context(), file, 0, bytes_of("x"), false)), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(volume().unlink(context(), kRootInode, "f")), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(volume().rename(context(), kRootInode, "f", kRootInode, "g", 0)), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(volume().link(context(), file, kRootInode, "g")), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(volume().allocate(context(), file, 0, 0, 1)), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(change(AttributeChange::mode_field, {})), ErrorCode::not_permitted);
  ASSERT_TRUE(volume().set_inode_flags(context(), file, FS_APPEND_FL));
  rig.write(file, 0, "appended");
  AttributeChange larger;
  larger.size = 100;
  EXPECT_EQ(error_of(change(AttributeChange::size_field, {})), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(change(AttributeChange::size_field, larger)), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(volume().unlink(context(), kRootInode, "f")), ErrorCode::not_permitted);
  ASSERT_TRUE(volume().set_inode_flags(context(), kRootInode, FS_IMMUTABLE_FL));
  EXPECT_EQ(error_of(volume().make_node(context(), kRootInode, "x", {S_IFREG | 0644, 0})), ErrorCode::not_permitted);
  EXPECT_EQ(error_of(volume().set_inode_flags(context(), file, FS_ENCRYPT_FL)), ErrorCode::not_supported);
}

TEST_P(OneFile, FlagsOfWhatStaysImmutableStay) {
  ASSERT_TRUE(volume().set_inode_flags(context(), file, FS_IMMUTABLE_FL));
  EXPECT_TRUE(volume().set_inode_flags(context(), file, FS_IMMUTABLE_FL));
  EXPECT_EQ(error_of(volume().set_inode_flags(context(), file, FS_IMMUTABLE_FL | FS_NODUMP_FL)),
            ErrorCode::not_permitted);
  EXPECT_TRUE(volume().set_inode_flags(context(), file, FS_NODUMP_FL));
  EXPECT_EQ(volume().inode_flags(context(), file).value_or(0), static_cast<std::uint32_t>(FS_NODUMP_FL));
}

TEST_P(OneFile, OnlyDirectoriesAreSynchronousAsSuch) {
  EXPECT_EQ(error_of(volume().set_inode_flags(context(), file, FS_DIRSYNC_FL)), ErrorCode::not_supported);
  EXPECT_TRUE(volume().set_inode_flags(context(), kRootInode, FS_DIRSYNC_FL));
}

TEST_P(OneFile, FlagsForbidBeforeNamesDo) {
  EXPECT_EQ(error_of(volume().set_xattr(context(), file, "unknown.x", {}, 0)), ErrorCode::not_supported);
  EXPECT_EQ(error_of(volume().remove_xattr(context(), file, "unknown.x")), ErrorCode::not_supported);
  for (const int flag : {FS_IMMUTABLE_FL, FS_APPEND_FL}) {
    ASSERT_TRUE(volume().set_inode_flags(context(), file, static_cast<std::uint32_t>(flag)));
    EXPECT_EQ(error_of(volume().set_xattr(context(), file, "unknown.x", {}, 0)), ErrorCode::not_permitted);
    EXPECT_EQ(error_of(volume().remove_xattr(context(), file, "unknown.x")), ErrorCode::not_permitted);
  }
}

TEST_P(OneFile, WithoutCopyOnWriteBlocksStayWhereTheyAre) {
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  ASSERT_TRUE(volume().set_inode_flags(context(), directory, FS_NOCOW_FL));
  const InodeNumber inherited = rig.make_file(directory, "f");
  EXPECT_EQ(rig.stat(inherited).flags & FS_NOCOW_FL, static_cast<std::uint32_t>(FS_NOCOW_FL));
  std::string model = pattern(20 * block(), 1);
  rig.write(inherited, 0, model);
  const std::uint64_t free = rig.volume().space().free;
  for (unsigned i = 0; i < 10; ++i) {
    const std::string data = pattern(block() + 100, i);
    rig.write(inherited, i * block() + i, data);
    model.replace(i * block() + i, data.size(), data);
  }
  EXPECT_EQ(rig.volume().space().free, free);
  ASSERT_TRUE(volume().sync_inode(context(), inherited, false));
  rig.crash();
  rig.mount();
  EXPECT_TRUE(same(rig.read(inherited, 0, model.size()), model));
  // From now on copied again, and checksummed.
  ASSERT_TRUE(volume().set_inode_flags(context(), inherited, 0));
  rig.write(inherited, 3, "copied");
  model.replace(3, 6, "copied");
  EXPECT_TRUE(same(rig.read(inherited, 0, model.size()), model));
}

TEST_P(OneFile, ExtendedAttributes) {
  const std::string large = pattern(30'000, 3);
  ASSERT_TRUE(volume().set_xattr(context(), file, "user.small", bytes_of("value"), 0));
  ASSERT_TRUE(volume().set_xattr(context(), file, "user.large", bytes_of(large), 0));
  ASSERT_TRUE(volume().set_xattr(context(), file, "user.empty", {}, XATTR_CREATE));
  rig.remount();
  EXPECT_EQ(volume().get_xattr(context(), file, "user.small").value_or("?"), "value");
  EXPECT_EQ(volume().get_xattr(context(), file, "user.large").value_or("?"), large);
  EXPECT_EQ(volume().get_xattr(context(), file, "user.empty").value_or("?"), "");
  EXPECT_EQ(error_of(volume().get_xattr(context(), file, "user.none")), ErrorCode::no_attribute);
  EXPECT_EQ(error_of(volume().set_xattr(context(), file, "user.none", {}, XATTR_REPLACE)), ErrorCode::no_attribute);
  EXPECT_EQ(error_of(volume().set_xattr(context(), file, "user.small", {}, XATTR_CREATE)), ErrorCode::already_exists);
  EXPECT_EQ(error_of(volume().set_xattr(context(), file, std::string(256, 'x'), {}, 0)), ErrorCode::out_of_range);
  EXPECT_EQ(error_of(volume().set_xattr(context(), file, "user.x", bytes_of(std::string(65'537, 'x')), 0)),
            ErrorCode::argument_too_large);
  ASSERT_TRUE(volume().set_xattr(context(), file, "user.large", bytes_of("small now"), XATTR_REPLACE));
  EXPECT_EQ(volume().store().item_count(format::ItemKind::xattr_value), 0U);
  ASSERT_TRUE(volume().remove_xattr(context(), file, "user.small"));
  EXPECT_EQ(error_of(volume().remove_xattr(context(), file, "user.small")), ErrorCode::no_attribute);
  const auto list = volume().list_xattrs(context(), file);
  ASSERT_TRUE(list);
  EXPECT_EQ(list->size(), sizeof("user.large") + sizeof("user.empty"));
}

// More than listxattr(2) can tell; the kernel's own limit.
TEST_P(OneFile, AListOfExtendedAttributesHasAnEnd) {
  const std::string name = "user." + std::string(250, 'x');
  const std::size_t count = XATTR_LIST_MAX / (name.size() + 1) + 1;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string numbered = fmt::format("{}{:05}", name.substr(0, name.size() - 5), i);
    ASSERT_TRUE(volume().set_xattr(context(), file, numbered, {}, 0));
    ASSERT_EQ(volume().list_xattrs(context(), file).has_value(), i + 1 < count) << i;
  }
  EXPECT_EQ(error_of(volume().list_xattrs(context(), file)), ErrorCode::argument_too_large);
}

TEST_P(OneFile, TheLargestExtendedAttributeWhereItFits) {
  const std::string largest = pattern(65'536, 4);
  const Status set = volume().set_xattr(context(), file, "user.largest", bytes_of(largest), 0);
  ASSERT_TRUE(set) << set.error().message();
  EXPECT_EQ(volume().get_xattr(context(), file, "user.largest").value_or("?"), largest);
  ASSERT_TRUE(volume().unlink(context(), kRootInode, "f"));
  EXPECT_EQ(volume().store().item_count(format::ItemKind::xattr_value), 0U);
}

TEST_P(OneFile, PreallocationKeepsTheSizeWhenAsked) {
  ASSERT_TRUE(volume().allocate(context(), file, FALLOC_FL_KEEP_SIZE, 0, 100 * block()));
  EXPECT_EQ(rig.stat(file).size, 0U);
  EXPECT_EQ(rig.stat(file).blocks, 100 * block() / 512);
  rig.check();
  const std::uint64_t free = volume().space().free;
  rig.write(file, 10 * block() + 5, pattern(20 * block(), 5));
  EXPECT_EQ(volume().space().free, free);  // written in place
  EXPECT_TRUE(same(rig.read(file, 0, 40 * block()), std::string(10 * block() + 5, '\0') + pattern(20 * block(), 5)));
  EXPECT_EQ(volume().seek(context(), file, 0, SEEK_DATA).value_or(0), 10 * block());
  rig.check();
  ASSERT_TRUE(volume().sync_inode(context(), file, true));
  rig.crash();
  rig.mount();
  EXPECT_TRUE(same(rig.read(file, 10 * block() + 5, 20 * block()), pattern(20 * block(), 5)));
  rig.truncate(file, rig.stat(file).size);  // gives back what was allocated past the end
  EXPECT_EQ(rig.stat(file).blocks, 31 * block() / 512);
}

TEST_P(OneFile, PreallocationThatCannotFitTakesNothing) {
  const std::uint64_t free = rig.free_blocks();
  EXPECT_EQ(error_of(volume().allocate(context(), file, 0, 0, 1ULL << 40)), ErrorCode::no_space);
  EXPECT_EQ(error_of(volume().allocate(context(), file, 0, 0, free * block() + block())), ErrorCode::no_space);
  EXPECT_EQ(rig.free_blocks(), free);
  EXPECT_EQ(rig.stat(file).size, 0U);
  EXPECT_EQ(error_of(volume().allocate(context(), file, 0, 1ULL << 62, 1ULL << 62)), ErrorCode::file_too_large);
  EXPECT_EQ(error_of(volume().allocate(context(), file, 0, 0, 0)), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of(volume().allocate(context(), file, FALLOC_FL_COLLAPSE_RANGE, 0, block())),
            ErrorCode::not_supported);
  EXPECT_EQ(error_of(volume().allocate(context(), file, FALLOC_FL_PUNCH_HOLE, 0, block())), ErrorCode::not_supported);
}

TEST_P(OneFile, PunchingManyExtentsGivesThemBack) {
  const std::uint64_t free = rig.free_blocks();
  for (std::uint64_t i = 0; i < 700; ++i) rig.write(file, 2 * i * block(), pattern(block(), 6));
  ASSERT_TRUE(volume().allocate(context(), file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 1399 * block() - 2));
  EXPECT_EQ(rig.stat(file).size, 1399 * block());
  EXPECT_EQ(rig.stat(file).blocks, 2 * block() / 512);
  EXPECT_TRUE(same(rig.read(file, 0, 2), pattern(block(), 6).substr(0, 1) + std::string(1, '\0')));
  EXPECT_TRUE(
      same(rig.read(file, 1398 * block(), block()), std::string(block() - 1, '\0') + pattern(block(), 6).back()));
  rig.truncate(file, 0);
  EXPECT_EQ(rig.free_blocks(), free);
}

INSTANTIATE_TEST_SUITE_P(Geometries, OneFile, ::testing::Values(kSmallNodes, kMiddleNodes, kLargeNodes));

}  // namespace
}  // namespace ashlar::volume::testing
