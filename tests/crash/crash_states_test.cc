// The enumerator itself: which states of a device it goes through.
#include "tests/crash/crash_states.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "blockio/aligned_buffer.h"

namespace ashlar::crash_test {
namespace {

constexpr std::size_t kDataBlock = 4096;
constexpr std::size_t kBlocks = 4;
constexpr std::size_t kStates = 60;

class CrashStatesTest : public ::testing::Test {
 protected:
  // Blocks filled with the letter, submitted at once.
  struct Write {
    std::size_t block;
    char letter;
    blockio::OpKind kind = blockio::OpKind::write;
  };
  void write(const std::vector<Write>& writes, bool flush_with_them = false) {
    std::vector<blockio::AlignedBuffer> buffers;
    std::vector<blockio::IoOp> ops;
    for (const Write& one : writes) {
      buffers.emplace_back(kDataBlock);
      std::memset(buffers.back().data(), one.letter, kDataBlock);
      const std::uint64_t offset = one.block * kDataBlock;
      ops.push_back(one.kind == blockio::OpKind::write ? blockio::IoOp::write(offset, buffers.back().span())
                                                       : blockio::IoOp::write_durable(offset, buffers.back().span()));
    }
    if (flush_with_them) ops.push_back(blockio::IoOp::flush());
    std::vector<blockio::IoOp*> pointers;
    for (blockio::IoOp& op : ops) pointers.push_back(&op);
    ASSERT_TRUE(queue_->run(pointers));
  }
  void flush() {
    blockio::IoOp op = blockio::IoOp::flush();
    ASSERT_TRUE(queue_->run(op));
  }

  // A letter for each block, '.' for zeros, '?' for one with several contents.
  [[nodiscard]] static std::string show(const blockio::MemoryImage& image) {
    std::string text;
    for (std::size_t block = 0; block < kBlocks; ++block) {
      std::vector<std::byte> bytes(kDataBlock);
      image.read(block * kDataBlock, bytes);
      const bool same = std::all_of(bytes.begin(), bytes.end(), [&](std::byte b) { return b == bytes[0]; });
      text += !same ? '?' : (bytes[0] == std::byte{0} ? '.' : static_cast<char>(bytes[0]));
    }
    return text;
  }
  // What may be there when that many events had ended.
  [[nodiscard]] std::set<std::string> seen(std::size_t events) {
    std::set<std::string> all;
    CrashStates states(device_, 1);
    states.enumerate(
        kStates, [](const CrashState&) { return true; },
        [&](const CrashState& state) {
          if (state.events == events) all.insert(show(*state.image));
          return true;
        });
    return all;
  }

  blockio::RecordingDevice device_{blockio::MemoryImage(kBlocks * kDataBlock)};
  std::unique_ptr<blockio::IoQueue> queue_ = *device_.open_queue({});
};

TEST_F(CrashStatesTest, EverySubsetAndTornWrites) {
  write({{0, 'a'}});
  write({{1, 'b'}});
  write({{2, 'c'}});
  const std::set<std::string> all = seen(3);
  for (const char* const subset : {"....", "a...", ".b..", "ab..", "..c.", "a.c.", ".bc.", "abc.", "?bc.", "ab?."}) {
    EXPECT_TRUE(all.contains(subset)) << subset;
  }
  EXPECT_EQ(seen(0), (std::set<std::string>{"...."}));
}

TEST_F(CrashStatesTest, OverlappingWritesInAnyOrder) {
  write({{0, 'a'}});
  write({{0, 'b'}});
  const std::set<std::string> all = seen(2);
  for (const char* const state : {"....", "a...", "b...", "?..."}) EXPECT_TRUE(all.contains(state)) << state;
}

TEST_F(CrashStatesTest, WhatIsDurableStays) {
  write({{0, 'a'}});
  flush();
  write({{1, 'b'}});
  write({{2, 'c', blockio::OpKind::write_durable}});
  EXPECT_EQ(seen(2), (std::set<std::string>{"a..."}));
  EXPECT_EQ(seen(4), (std::set<std::string>{"abc."}));
  const std::set<std::string> under_way = seen(3);
  for (const char* const state : {"a...", "ab..", "a.c."}) EXPECT_TRUE(under_way.contains(state)) << state;
}

// A flush covers what had completed before it was submitted, and of that nothing comes back later.
TEST_F(CrashStatesTest, AFlushCoversOnlyWhatHadCompleted) {
  write({{0, 'a'}, {1, 'b'}}, true);
  write({{1, 'c', blockio::OpKind::write_durable}});
  EXPECT_TRUE(seen(3).contains("...."));
  EXPECT_EQ(seen(4), (std::set<std::string>{"ac.."}));
  write({{1, 'd'}, {1, 'e', blockio::OpKind::write_durable}});
  EXPECT_EQ(seen(6), (std::set<std::string>{"ae.."}));
}

}  // namespace
}  // namespace ashlar::crash_test
