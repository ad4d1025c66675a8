#include "fs/format/log.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/format/samples.h"

namespace ashlar::format {
namespace {

using Bytes = std::vector<std::byte>;
using testing::kOtherUuid;
using testing::kUuid;

template <typename T>
void append_struct(Bytes& bytes, const T& value) {
  const auto view = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), view.begin(), view.end());
}

void append_op(Bytes& bytes, LogOpKind kind, std::uint8_t key_kind, std::uint64_t a, std::uint64_t b,
               std::string_view value = {}) {
  LogOp op{};
  op.op = static_cast<std::uint8_t>(kind);
  op.key_kind = key_kind;
  op.size = static_cast<std::uint16_t>(value.size());
  op.a = a;
  op.b = b;
  append_struct(bytes, op);
  for (const char c : value) bytes.push_back(static_cast<std::byte>(c));
  bytes.resize((bytes.size() + 3) / 4 * 4);
}

Bytes record_of(const Bytes& ops, std::uint16_t count) {
  RecordHeader header{};
  header.length = static_cast<std::uint32_t>(sizeof header + ops.size());
  header.op_count = count;
  Bytes record;
  append_struct(record, header);
  record.insert(record.end(), ops.begin(), ops.end());
  return record;
}

Bytes chunk_of(const std::vector<Bytes>& records) {
  ChunkHeader header{};
  header.magic = kChunkMagic;
  std::memcpy(header.uuid, kUuid, sizeof kUuid);
  header.epoch = 3;
  header.lsn = 8192;
  header.previous_crc = 55;
  header.record_count = static_cast<std::uint32_t>(records.size());
  Bytes chunk(sizeof header);
  for (const Bytes& record : records) chunk.insert(chunk.end(), record.begin(), record.end());
  header.length = static_cast<std::uint32_t>(chunk.size());
  std::memcpy(chunk.data(), &header, sizeof header);
  seal_chunk(chunk);
  return chunk;
}

Bytes sample_record() {
  Bytes ops;
  append_op(ops, LogOpKind::put, 2, 7, 99, "hello");
  append_op(ops, LogOpKind::erase, 5, 8, 1);
  append_op(ops, LogOpKind::allocate, 0, 100, 10);
  append_op(ops, LogOpKind::free, 0, 200, 1);
  append_op(ops, LogOpKind::counter, 1, 42, 0);
  return record_of(ops, 5);
}

Result<ChunkHeader> validated(const Bytes& chunk) { return validate_chunk(chunk, kUuid, 3, Lsn{8192}, 55); }

TEST(ChunkTest, ASoundOneIsTakenWithWhateverFollowsIt) {
  Bytes chunk = chunk_of({sample_record(), sample_record()});
  const std::size_t length = chunk.size();
  ASSERT_TRUE(validated(chunk));
  chunk.resize(8192, std::byte{0xee});
  ASSERT_TRUE(validated(chunk));
  EXPECT_EQ(validated(chunk)->length, length);
}

TEST(ChunkTest, WhatIsNotOfThisLogIsNotFound) {
  const Bytes chunk = chunk_of({sample_record()});
  EXPECT_EQ(validate_chunk(chunk, kOtherUuid, 3, Lsn{8192}, 55).error().code(), ErrorCode::not_found);
  EXPECT_EQ(validate_chunk(chunk, kUuid, 4, Lsn{8192}, 55).error().code(), ErrorCode::not_found);
  EXPECT_EQ(validate_chunk(chunk, kUuid, 3, Lsn{4096}, 55).error().code(), ErrorCode::not_found);
  EXPECT_EQ(validate_chunk(chunk, kUuid, 3, Lsn{8192}, 54).error().code(), ErrorCode::not_found);
  EXPECT_EQ(validated(Bytes(4096)).error().code(), ErrorCode::not_found);
  EXPECT_EQ(validated(Bytes(63)).error().code(), ErrorCode::not_found);
}

TEST(ChunkTest, EveryDamagedByteIsNoticed) {
  const Bytes sound = chunk_of({sample_record()});
  for (std::size_t i = 0; i < sound.size(); ++i) {
    Bytes damaged = sound;
    damaged[i] ^= std::byte{0x40};
    EXPECT_FALSE(validated(damaged)) << "byte " << i;
  }
  Bytes torn = sound;
  torn.resize(sound.size() - 1);
  EXPECT_EQ(validated(torn).error().code(), ErrorCode::bad_checksum);
}

TEST(RecordCursorTest, WalksRecordsAndOperations) {
  const Bytes chunk = chunk_of({sample_record(), sample_record()});
  RecordCursor records(chunk);
  EXPECT_EQ(records.offset(), sizeof(ChunkHeader));
  const auto record = records.next();
  ASSERT_TRUE(record);
  EXPECT_EQ(records.offset(), sizeof(ChunkHeader) + record->size());

  LogOpCursor ops(*record);
  LogOpView op;
  ASSERT_TRUE(*ops.next(op));
  EXPECT_EQ(op.op, LogOpKind::put);
  EXPECT_EQ(op.key, (Key{InodeNumber{7}, ItemKind::dirent, 99}));
  EXPECT_EQ(op.value.size(), 5U);
  ASSERT_TRUE(*ops.next(op));
  EXPECT_EQ(op.op, LogOpKind::erase);
  EXPECT_TRUE(op.value.empty());
  ASSERT_TRUE(*ops.next(op));
  EXPECT_EQ(op.run, (BlockRun{BlockNumber{100}, 10}));
  ASSERT_TRUE(*ops.next(op));
  EXPECT_EQ(op.op, LogOpKind::free);
  ASSERT_TRUE(*ops.next(op));
  EXPECT_EQ(op.counter, Counter::next_inode);
  EXPECT_EQ(op.counter_value, 42U);
  EXPECT_FALSE(*ops.next(op));

  ASSERT_FALSE(records.next()->empty());
  EXPECT_TRUE(records.next()->empty());
}

TEST(LogOpCursorTest, AWitnessViewsTheChecksumsOfAnotherOperation) {
  Bytes ops;
  append_op(ops, LogOpKind::put, 5, 7, 0, std::string("ABCDEFGH"));
  LogOp witness{};
  witness.op = static_cast<std::uint8_t>(LogOpKind::witness);
  witness.size = 2;
  witness.a = 500;
  witness.b = sizeof(RecordHeader) + sizeof(LogOp);
  append_struct(ops, witness);
  const Bytes record = record_of(ops, 2);
  LogOpCursor cursor(record);
  LogOpView op;
  ASSERT_TRUE(*cursor.next(op));
  ASSERT_TRUE(*cursor.next(op));
  EXPECT_EQ(op.run, (BlockRun{BlockNumber{500}, 2}));
  ASSERT_EQ(op.checksums.size(), 2U);
  EXPECT_EQ(op.checksums[0].value(), 0x4443'4241U);
}

TEST(LogOpCursorTest, AWitnessMayCarryItsChecksums) {
  Bytes ops;
  append_op(ops, LogOpKind::erase, 5, 7, 0);
  LogOp witness{};
  witness.op = static_cast<std::uint8_t>(LogOpKind::witness);
  witness.size = 2;
  witness.a = 500;
  witness.b = sizeof(RecordHeader) + 2 * sizeof(LogOp);
  append_struct(ops, witness);
  append_struct(ops, le32(11));
  append_struct(ops, le32(12));
  append_op(ops, LogOpKind::erase, 5, 8, 0);
  const Bytes record = record_of(ops, 3);
  LogOpCursor cursor(record);
  LogOpView op;
  ASSERT_TRUE(*cursor.next(op));
  ASSERT_TRUE(*cursor.next(op));
  ASSERT_EQ(op.checksums.size(), 2U);
  EXPECT_EQ(op.checksums[1].value(), 12U);
  ASSERT_TRUE(*cursor.next(op));
  EXPECT_EQ(op.key.inode, InodeNumber{8});
  EXPECT_FALSE(*cursor.next(op));
}

Status walk(const Bytes& chunk) {
  RecordCursor records(chunk);
  while (true) {
    auto record = records.next();
    if (!record) return fail(std::move(record).error());
    if (record->empty()) return {};
    LogOpCursor ops(*record);
    LogOpView op;
    while (true) {
      auto more = ops.next(op);
      if (!more) return fail(std::move(more).error());
      if (!*more) break;
    }
  }
}

TEST(LogOpCursorTest, MalformedOperationsEndTheWalk) {
  const auto rejected = [](LogOp op, std::size_t value_bytes = 0) {
    Bytes ops;
    append_struct(ops, op);
    ops.resize(ops.size() + value_bytes);
    return !walk(chunk_of({record_of(ops, 1)}));
  };
  const auto op_of = [](LogOpKind kind, std::uint8_t key_kind, std::uint16_t size, std::uint64_t a, std::uint64_t b) {
    LogOp op{};
    op.op = static_cast<std::uint8_t>(kind);
    op.key_kind = key_kind;
    op.size = size;
    op.a = a;
    op.b = b;
    return op;
  };
  EXPECT_FALSE(rejected(op_of(LogOpKind::put, 1, 4, 1, 1), 4));
  EXPECT_TRUE(rejected(op_of(LogOpKind::put, 1, 5, 1, 1), 4));
  EXPECT_TRUE(rejected(op_of(LogOpKind::put, 1, 0xffff, 1, 1), 4));
  EXPECT_TRUE(rejected(op_of(LogOpKind::put, 1, 4, 1, 1), 8)) << "bytes left over";
  EXPECT_TRUE(rejected(op_of(LogOpKind::put, 0, 4, 1, 1), 4));
  EXPECT_TRUE(rejected(op_of(LogOpKind::erase, 16, 0, 1, 1)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::allocate, 0, 0, 1, 0)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::free, 0, 0, ~0ULL, 2)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::counter, 2, 0, 1, 0)));
  EXPECT_FALSE(rejected(op_of(LogOpKind::counter, 1, 0, kInodeNumberLimit, 0)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::counter, 1, 0, kInodeNumberLimit + 1, 0)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::counter, 1, 0, ~0ULL, 0)));
  EXPECT_FALSE(rejected(op_of(LogOpKind::sparse_put, 1, 4, 1, 0), 8));
  EXPECT_FALSE(rejected(op_of(LogOpKind::sparse_put, 1, 256, 1, 0), 8));
  EXPECT_TRUE(rejected(op_of(LogOpKind::sparse_put, 1, 260, 1, 0), 8)) << "longer than a mask reaches";
  EXPECT_TRUE(rejected(op_of(LogOpKind::sparse_put, 1, 6, 1, 0), 8)) << "not of whole words";
  EXPECT_TRUE(rejected(op_of(LogOpKind::sparse_put, 1, 4, 1, 0), 4)) << "mask cut off";
  EXPECT_TRUE(rejected(op_of(LogOpKind::sparse_put, 1, 4, 1, 0), 12)) << "bytes left over";
  EXPECT_TRUE(rejected(op_of(LogOpKind::sparse_put, 2, 4, 1, 0), 8)) << "not an inode's";
  EXPECT_TRUE(rejected(op_of(LogOpKind::sparse_put, 0, 4, 1, 0), 8));
  EXPECT_TRUE(rejected(op_of(LogOpKind{0}, 1, 0, 1, 0)));
  EXPECT_TRUE(rejected(op_of(LogOpKind{200}, 1, 0, 1, 0)));
  EXPECT_FALSE(rejected(op_of(LogOpKind::witness, 0, 5, 1, 8)));
  EXPECT_FALSE(rejected(op_of(LogOpKind::witness, 0, 2, 1, 28), 8));
  EXPECT_TRUE(rejected(op_of(LogOpKind::witness, 0, 2, 1, 28), 4));
  EXPECT_TRUE(rejected(op_of(LogOpKind::witness, 0, 2, 1, 28), 12));
  EXPECT_TRUE(rejected(op_of(LogOpKind::witness, 0, 0, 1, 8)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::witness, 0, 6, 1, 8)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::witness, 0, 1, 1, 7)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::witness, 0, 1, 1, ~0ULL)));
  EXPECT_TRUE(rejected(op_of(LogOpKind::witness, 0, 2, ~0ULL, 8)));
}

TEST(LogOpCursorTest, ASparsePutIsThePutThatItStandsFor) {
  Bytes ops;
  LogOp op{};
  op.op = static_cast<std::uint8_t>(LogOpKind::sparse_put);
  op.key_kind = 1;
  op.size = 24;
  op.a = 7;
  append_struct(ops, op);
  append_struct(ops, le64(0b101000));
  append_struct(ops, le32(0x11));
  append_struct(ops, le32(0x22));
  append_op(ops, LogOpKind::erase, 5, 8, 1);
  const Bytes record = record_of(ops, 2);

  LogOpCursor cursor(record);
  LogOpView view;
  ASSERT_TRUE(*cursor.next(view));
  EXPECT_EQ(view.op, LogOpKind::put);
  EXPECT_EQ(view.key, (Key{InodeNumber{7}, ItemKind::inode, 0}));
  EXPECT_EQ(view.payload_size, 16U);
  Bytes value(12);
  append_struct(value, le32(0x11));
  value.resize(20);
  append_struct(value, le32(0x22));
  EXPECT_TRUE(std::equal(view.value.begin(), view.value.end(), value.begin(), value.end()));
  ASSERT_TRUE(*cursor.next(view));
  EXPECT_EQ(view.op, LogOpKind::erase);
  EXPECT_FALSE(*cursor.next(view));
}

TEST(RecordCursorTest, MalformedLengthsEndTheWalk) {
  for (const std::uint32_t length : {0U, 4U, 7U, 9U, 0xffff'fffcU, 100000U}) {
    Bytes record = sample_record();
    reinterpret_cast<RecordHeader*>(record.data())->length = length;
    EXPECT_FALSE(walk(chunk_of({record}))) << length;
  }
  Bytes record = sample_record();
  reinterpret_cast<RecordHeader*>(record.data())->op_count = 6;
  EXPECT_FALSE(walk(chunk_of({record})));
  Bytes chunk = chunk_of({sample_record()});
  reinterpret_cast<ChunkHeader*>(chunk.data())->record_count = 2;
  EXPECT_FALSE(walk(chunk));
  reinterpret_cast<ChunkHeader*>(chunk.data())->record_count = 0;
  EXPECT_FALSE(walk(chunk));
  EXPECT_TRUE(walk(Bytes{}));
}

TEST(RecordCursorTest, RandomDamageNeverLeavesTheBounds) {
  std::mt19937_64 random(3);
  std::size_t failures = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes chunk = chunk_of({sample_record(), sample_record()});
    for (int i = 0; i < 3; ++i) chunk[40 + random() % (chunk.size() - 40)] = static_cast<std::byte>(random());
    failures += walk(chunk) ? 0U : 1U;
  }
  EXPECT_GT(failures, 0U);
}

}  // namespace
}  // namespace ashlar::format
