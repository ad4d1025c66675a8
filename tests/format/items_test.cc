#include "fs/format/items.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "fs/format/node.h"

namespace ashlar::format {
namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
void append(Bytes& bytes, const T& value) {
  const auto view = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), view.begin(), view.end());
}
void append(Bytes& bytes, std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  bytes.insert(bytes.end(), view.begin(), view.end());
}

void append_dirent(Bytes& bytes, std::uint64_t inode, std::uint8_t type, std::string_view name) {
  DirentEntry entry{};
  entry.inode = inode;
  entry.type = type;
  entry.name_length = static_cast<std::uint16_t>(name.size());
  append(bytes, entry);
  append(bytes, name);
}

void append_xattr(Bytes& bytes, std::string_view name, std::string_view value) {
  XattrEntry entry{};
  entry.name_length = static_cast<std::uint16_t>(name.size());
  entry.value_size = static_cast<std::uint32_t>(value.size());
  append(bytes, entry);
  append(bytes, name);
  append(bytes, value);
}

bool is_malformed(const Bytes& bytes) {
  DirentCursor cursor(bytes);
  while (cursor.next()) {
  }
  return cursor.malformed();
}

TEST(DirentCursorTest, WalksEveryEntry) {
  Bytes bytes;
  append_dirent(bytes, 5, 8, "file");
  append_dirent(bytes, 6, 4, std::string(255, 'd'));
  DirentCursor cursor(bytes);
  const auto first = cursor.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->inode, InodeNumber{5});
  EXPECT_EQ(first->type, 8);
  EXPECT_EQ(first->name, "file");
  EXPECT_EQ(cursor.next()->name.size(), 255U);
  EXPECT_FALSE(cursor.next());
  EXPECT_FALSE(cursor.malformed());
}

TEST(DirentCursorTest, StopsAtAMalformedEntry) {
  const std::pair<const char*, std::function<void(Bytes&)>> cases[] = {
      {"no inode", [](Bytes& b) { append_dirent(b, 0, 8, "x"); }},
      {"no type", [](Bytes& b) { append_dirent(b, 1, 0, "x"); }},
      {"unknown type", [](Bytes& b) { append_dirent(b, 1, 3, "x"); }},
      {"type out of range", [](Bytes& b) { append_dirent(b, 1, 0x84, "x"); }},
      {"empty name", [](Bytes& b) { append_dirent(b, 1, 8, ""); }},
      {"long name", [](Bytes& b) { append_dirent(b, 1, 8, std::string(256, 'x')); }},
      {"slash", [](Bytes& b) { append_dirent(b, 1, 8, "a/b"); }},
      {"NUL", [](Bytes& b) { append_dirent(b, 1, 8, std::string_view("a\0b", 3)); }},
      {"dot", [](Bytes& b) { append_dirent(b, 1, 8, "."); }},
      {"dot dot", [](Bytes& b) { append_dirent(b, 1, 8, ".."); }},
      {"name cut off", [](Bytes& b) { append_dirent(b, 1, 8, "name"), b.pop_back(); }},
      {"entry cut off", [](Bytes& b) { b.resize(b.size() + 11); }},
  };
  for (const auto& [what, damage] : cases) {
    Bytes bytes;
    append_dirent(bytes, 5, 8, "sound");
    EXPECT_FALSE(is_malformed(bytes));
    damage(bytes);
    EXPECT_TRUE(is_malformed(bytes)) << what;
  }
}

TEST(XattrCursorTest, WalksEveryEntryAndStopsAtAMalformedOne) {
  Bytes bytes;
  append_xattr(bytes, "user.a", "value");
  append_xattr(bytes, "user.b", "");
  XattrEntry apart{};
  apart.name_length = 6;
  apart.flags = kXattrValueApart;
  apart.value_size = kMaxXattrValue;
  apart.value_id = 3;
  append(bytes, apart);
  append(bytes, std::string_view("user.c"));
  XattrCursor cursor(bytes);
  const auto first = cursor.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->name, "user.a");
  EXPECT_EQ(first->value.size(), 5U);
  EXPECT_TRUE(cursor.next()->value.empty());
  EXPECT_EQ(cursor.next()->value_id, 3U);
  EXPECT_FALSE(cursor.next());
  EXPECT_FALSE(cursor.malformed());

  bytes.pop_back();
  XattrCursor cut(bytes);
  while (cut.next()) {
  }
  EXPECT_TRUE(cut.malformed());
}

InodeItem sample_inode() {
  InodeItem inode{};
  inode.mode = S_IFREG | 0644;
  inode.links = 1;
  inode.modified.nanoseconds = 999'999'999;
  return inode;
}

Result<InodeItem> parsed(const InodeItem& inode) { return parse_inode(std::as_bytes(std::span(&inode, 1))); }

TEST(ParseInodeTest, TakesSoundOnesOnly) {
  InodeItem inode = sample_inode();
  ASSERT_TRUE(parsed(inode));
  EXPECT_EQ(parsed(inode)->mode, static_cast<std::uint32_t>(S_IFREG | 0644));
  EXPECT_FALSE(parse_inode(std::as_bytes(std::span(&inode, 1)).first(143)));
  inode.mode = 0644;
  EXPECT_FALSE(parsed(inode));
  inode.mode = 0x1'0000U | S_IFREG;
  EXPECT_FALSE(parsed(inode));
  inode = sample_inode();
  inode.size = 1ULL << 63;
  EXPECT_FALSE(parsed(inode));
  inode = sample_inode();
  inode.links = 1U << 31;
  EXPECT_FALSE(parsed(inode));
  inode = sample_inode();
  inode.born.nanoseconds = 1'000'000'000;
  EXPECT_FALSE(parsed(inode));
}

Bytes extent_value(std::uint64_t physical, std::uint32_t count, std::uint8_t flags, std::size_t checksums) {
  ExtentItem item{};
  item.physical = physical;
  item.count = count;
  item.flags = flags;
  Bytes bytes;
  append(bytes, item);
  for (std::size_t i = 0; i < checksums; ++i) append(bytes, le32(static_cast<std::uint32_t>(i + 100)));
  return bytes;
}

TEST(ParseExtentTest, TakesSoundOnesOnly) {
  constexpr std::uint64_t kBlocks = 1000;
  const Key key{InodeNumber{2}, ItemKind::extent, 10};
  const Bytes value = extent_value(997, 3, 0, 3);
  const auto extent = parse_extent(key, value, kBlocks);
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->file_block, 10U);
  EXPECT_EQ(extent->end(), 13U);
  ASSERT_EQ(extent->checksums.size(), 3U);
  EXPECT_EQ(extent->checksums[2].value(), 102U);
  EXPECT_TRUE(parse_extent(key, extent_value(0, 1000, kExtentUnwritten, 0), kBlocks)->unwritten());

  EXPECT_FALSE(parse_extent(key, extent_value(1, 0, 0, 0), kBlocks));
  EXPECT_FALSE(parse_extent(key, extent_value(998, 3, 0, 3), kBlocks));
  EXPECT_FALSE(parse_extent(key, extent_value(~0ULL, 3, 0, 3), kBlocks));
  EXPECT_FALSE(parse_extent(key, extent_value(1, 3, 0, 2), kBlocks));
  EXPECT_FALSE(parse_extent(key, extent_value(1, 3, 0, 4), kBlocks));
  EXPECT_FALSE(parse_extent(key, extent_value(1, 3, kExtentNoChecksum, 3), kBlocks));
  EXPECT_FALSE(parse_extent(key, extent_value(1, 3, 0x80, 3), kBlocks));
  EXPECT_FALSE(parse_extent(key, extent_value(1, kMaxPlainExtentBlocks + 1, kExtentUnwritten, 0), ~0ULL >> 1));
  EXPECT_FALSE(parse_extent(Key{InodeNumber{2}, ItemKind::extent, ~0ULL}, extent_value(1, 3, 0, 3), kBlocks));
  EXPECT_FALSE(parse_extent(key, Bytes(23), kBlocks));
  auto encoded = extent_value(1, 3, 0, 3);
  encoded[offsetof(ExtentItem, encoding)] = std::byte{1};
  EXPECT_FALSE(parse_extent(key, encoded, kBlocks));
}

TEST(ParseOrphanTest, TakesSoundOnesOnly) {
  OrphanItem orphan{};
  orphan.reason = static_cast<std::uint8_t>(OrphanReason::truncated);
  EXPECT_TRUE(parse_orphan(std::as_bytes(std::span(&orphan, 1))));
  EXPECT_FALSE(parse_orphan(std::as_bytes(std::span(&orphan, 1)).first(15)));
  orphan.reason = 3;
  EXPECT_FALSE(parse_orphan(std::as_bytes(std::span(&orphan, 1))));
}

TEST(ItemLimitsTest, WhatTheyAllowFitsANode) {
  for (std::uint32_t size = kMinNodeSize; size <= kMaxNodeSize; size *= 2) {
    EXPECT_GE(max_checksummed_blocks(size), 1U);
    EXPECT_LE(sizeof(ExtentItem) + 4 * max_checksummed_blocks(size), max_value_size(size));
    EXPECT_LE(max_inline_size(size), max_value_size(size));
  }
  EXPECT_EQ(max_inline_size(16384), 2048U);
}

TEST(HashNameTest, DependsOnNameAndSeedAndStaysInRange) {
  const std::uint8_t seed[16] = {1};
  const std::uint8_t low_differs[16] = {2};
  std::uint8_t high_differs[16] = {1};
  high_differs[15] = 1;
  EXPECT_EQ(hash_name("name", seed), hash_name("name", seed));
  EXPECT_NE(hash_name("name", seed), hash_name("name", low_differs));
  EXPECT_NE(hash_name("name", seed), hash_name("name", high_differs));
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t hash = hash_name("file" + std::to_string(i), seed);
    EXPECT_GE(hash, kFirstDirentHash);
    EXPECT_LE(hash, kLastDirentHash);
    seen.insert(hash);
  }
  EXPECT_EQ(seen.size(), 20000U);
}

// A change here would make every name of every volume unfindable.
TEST(HashNameTest, IsFixedForEver) {
  const std::uint8_t seed[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  EXPECT_EQ(hash_name("README.md", seed), 4200383074912609545U);
  EXPECT_EQ(hash_name(std::string(255, 'n'), seed), 8244586026630274118U);
}

}  // namespace
}  // namespace ashlar::format
