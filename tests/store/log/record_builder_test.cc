#include "fs/store/log/record_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "fs/format/items.h"

namespace ashlar::store {
namespace {

using format::LogOpKind;
using format::LogOpView;

std::vector<format::le32> numbers(std::uint32_t first, std::size_t count) {
  std::vector<format::le32> result;
  for (std::size_t i = 0; i < count; ++i) result.emplace_back(first + static_cast<std::uint32_t>(i) * 7919U);
  return result;
}

std::vector<std::byte> extent_value(std::span<const format::le32> checksums) {
  const auto bytes = std::as_bytes(checksums);
  std::vector<std::byte> value(sizeof(format::ExtentItem) + bytes.size());
  std::copy(bytes.begin(), bytes.end(), value.begin() + sizeof(format::ExtentItem));
  return value;
}

std::vector<LogOpView> decode(std::span<const std::byte> record) {
  std::vector<LogOpView> ops;
  format::LogOpCursor cursor(record);
  for (;;) {
    LogOpView op;
    const auto more = cursor.next(op);
    EXPECT_TRUE(more.has_value()) << more.error().message();
    if (!more || !*more) return ops;
    ops.push_back(op);
  }
}

// The checksums that a record bears witness to, block by block in order.
std::vector<std::pair<std::uint64_t, std::uint32_t>> witnessed(std::span<const std::byte> record) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> blocks;
  for (const LogOpView& op : decode(record)) {
    if (op.op != LogOpKind::witness) continue;
    EXPECT_EQ(op.run.count, op.checksums.size());
    for (std::size_t i = 0; i < op.checksums.size(); ++i) {
      blocks.emplace_back(op.run.first.value() + i, op.checksums[i].value());
    }
  }
  return blocks;
}

void expect_witnessed(std::span<const std::byte> record, BlockRun run, std::span<const format::le32> checksums) {
  const auto blocks = witnessed(record);
  ASSERT_EQ(blocks.size(), run.count);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i].first, run.first.value() + i);
    EXPECT_EQ(blocks[i].second, checksums[i].value());
  }
}

const format::Key kExtentKey{InodeNumber{5}, format::ItemKind::extent, 16};

TEST(RecordBuilder, OperationsComeBackAsTheyWent) {
  RecordBuilder builder;
  EXPECT_TRUE(builder.empty());
  const std::string_view text = "seven!!";
  builder.put(format::Key{InodeNumber{9}, format::ItemKind::symlink, 3}, std::as_bytes(std::span(text)));
  builder.erase(format::Key{InodeNumber{~0ULL}, format::ItemKind::dirent, ~0ULL});
  builder.allocate(BlockRun{BlockNumber{100}, 17});
  builder.free(BlockRun{BlockNumber{1ULL << 40}, 1ULL << 20});
  builder.counter(format::Counter::next_inode, 1234567890123ULL);
  EXPECT_FALSE(builder.empty());
  const auto record = builder.finish();
  EXPECT_EQ(record.size(), builder.size());
  EXPECT_EQ(record.size() % 4, 0U);

  const auto ops = decode(record);
  ASSERT_EQ(ops.size(), 5U);
  EXPECT_EQ(ops[0].op, LogOpKind::put);
  EXPECT_EQ(ops[0].key, (format::Key{InodeNumber{9}, format::ItemKind::symlink, 3}));
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(ops[0].value.data()), ops[0].value.size()), text);
  EXPECT_EQ(ops[1].op, LogOpKind::erase);
  EXPECT_EQ(ops[1].key, (format::Key{InodeNumber{~0ULL}, format::ItemKind::dirent, ~0ULL}));
  EXPECT_EQ(ops[2].op, LogOpKind::allocate);
  EXPECT_EQ(ops[2].run, (BlockRun{BlockNumber{100}, 17}));
  EXPECT_EQ(ops[3].op, LogOpKind::free);
  EXPECT_EQ(ops[3].run, (BlockRun{BlockNumber{1ULL << 40}, 1ULL << 20}));
  EXPECT_EQ(ops[4].op, LogOpKind::counter);
  EXPECT_EQ(ops[4].counter_value, 1234567890123ULL);
}

TEST(RecordBuilder, AnInodeGoesWithoutItsZeros) {
  format::InodeItem item{};
  item.mode = 0100644;
  item.size = 1ULL << 40;
  item.version = 3;
  item.reserved[15] = 1;
  const format::Key key{InodeNumber{9}, format::ItemKind::inode, 0};
  RecordBuilder builder;
  builder.put(key, std::as_bytes(std::span(&item, 1)));
  builder.erase(kExtentKey);
  const auto record = builder.finish();
  EXPECT_EQ(record.size(), sizeof(format::RecordHeader) + 2 * sizeof(format::LogOp) + 8 + 4 * 4);

  format::LogOpCursor cursor(record);
  LogOpView op;
  ASSERT_TRUE(cursor.next(op).value_or(false));
  EXPECT_EQ(op.op, LogOpKind::put);
  EXPECT_EQ(op.key, key);
  EXPECT_TRUE(std::ranges::equal(op.value, std::as_bytes(std::span(&item, 1))));
  ASSERT_TRUE(cursor.next(op).value_or(false));
  EXPECT_EQ(op.op, LogOpKind::erase);
}

TEST(RecordBuilder, ClearBeginsAnew) {
  RecordBuilder builder;
  const std::size_t empty_size = builder.size();
  builder.erase(kExtentKey);
  builder.clear();
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.size(), empty_size);
  EXPECT_TRUE(decode(builder.finish()).empty());
}

TEST(RecordBuilder, WitnessSharesTheChecksumsOfTheExtentItem) {
  const auto checksums = numbers(1, 40);
  RecordBuilder builder;
  builder.put(kExtentKey, extent_value(checksums));
  const std::size_t before = builder.size();
  const BlockRun run{BlockNumber{700}, 10};
  const auto part = std::span(checksums).subspan(20, 10);
  builder.witness(run, part);
  EXPECT_EQ(builder.size(), before + sizeof(format::LogOp));
  expect_witnessed(builder.finish(), run, part);
}

TEST(RecordBuilder, WitnessSpreadsOverSeveralExtentItems) {
  const auto checksums = numbers(77, 300);
  RecordBuilder builder;
  const auto all = std::span(checksums);
  builder.put(kExtentKey, extent_value(all.first(100)));
  builder.put(format::Key{InodeNumber{5}, format::ItemKind::extent, 116}, extent_value(all.subspan(100, 150)));
  builder.put(format::Key{InodeNumber{5}, format::ItemKind::extent, 266}, extent_value(all.subspan(250)));
  const BlockRun run{BlockNumber{4096}, 300};
  builder.witness(run, all);
  expect_witnessed(builder.finish(), run, all);
  EXPECT_LT(builder.size(), 3 * (sizeof(format::ExtentItem) + 2 * sizeof(format::LogOp)) + 300 * 4 + 64);
}

TEST(RecordBuilder, WitnessBringsItsOwnChecksumsWhenNoItemHasThem) {
  const auto checksums = numbers(5, 9);
  RecordBuilder builder;
  builder.erase(kExtentKey);
  const BlockRun run{BlockNumber{64}, 9};
  builder.witness(run, checksums);
  builder.allocate(run);
  const auto record = builder.finish();
  expect_witnessed(record, run, checksums);
  EXPECT_EQ(decode(record).back().op, LogOpKind::allocate);
}

TEST(RecordBuilder, WitnessOfEqualBlocksKeepsTheirCount) {
  const std::vector<format::le32> zeros(500, format::le32(0x527d5351U));
  RecordBuilder builder;
  builder.put(kExtentKey, extent_value(std::span(zeros).first(100)));
  const BlockRun run{BlockNumber{64}, 500};
  builder.witness(run, zeros);
  expect_witnessed(builder.finish(), run, zeros);
}

TEST(RecordBuilder, WitnessOfMoreBlocksThanOneOperationHolds) {
  const auto checksums = numbers(3, 70000);
  RecordBuilder builder;
  const BlockRun run{BlockNumber{1}, 70000};
  builder.witness(run, checksums);
  expect_witnessed(builder.finish(), run, checksums);
}

}  // namespace
}  // namespace ashlar::store
