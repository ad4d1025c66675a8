// Devices that fail and volumes that fill up, at every place where they can: an operation that fails changes nothing, a
// volume that stops says so, and what was acknowledged is there after the next mount.
#include <gtest/gtest.h>
#include <linux/fs.h>

#include <algorithm>
#include <iostream>

#include "blockio/faulty_device.h"
#include "fs/format/superblock.h"
#include "fs/format/text.h"
#include "fs/store/superblock_io.h"
#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/faults.h"
#include "tests/crash/session.h"

namespace ashlar::crash_test {
namespace {

// The state of the volume as the model knows it; what is wrong with it in `problem`.
std::string state_of(blockio::BlockDevice& device, std::string& problem) {
  const auto io = device.open_queue({});
  volume::Context context{**io, {2'000'000, 0}, 0, 0};
  auto volume = volume::Volume::open(device, **io, quiet_options());
  if (!volume) {
    problem = volume.error().message();
    return {};
  }
  Viewer viewer;
  return plain(viewer.look_at(**volume, context));
}

// What a mount takes the volume from says that it stopped, and why.
void expect_reason(blockio::MemoryDevice& memory, const std::string& why) {
  const auto io = memory.open_queue({});
  const auto superblock = store::read_superblock(memory.geometry(), **io, false);
  ASSERT_TRUE(superblock);
  EXPECT_NE(superblock->flags & format::kHasErrors, 0U);
  EXPECT_EQ(superblock->failure_count, 1U);
  EXPECT_EQ(format::reason_text(superblock->first_failure), why.substr(0, format::kReasonSize));
  EXPECT_EQ(format::reason_text(superblock->last_failure), why.substr(0, format::kReasonSize));
  EXPECT_NE(superblock->last_failure.time, 0U);
}

enum class Lasting { once, for_good };

class InputOutputErrorTest : public ::testing::TestWithParam<Lasting> {};

TEST_P(InputOutputErrorTest, AtEveryOperation) {
  const blockio::MemoryImage image = formatted({});
  const std::uint64_t seed = first_seed();
  std::uint64_t operations = 0;
  {
    blockio::MemoryDevice memory(image);
    blockio::FaultyDevice counting(memory);
    Session session(counting, fault_options(seed));
    ASSERT_TRUE(session.open());
    mixed(session);
    ASSERT_TRUE(session.close());
    ASSERT_TRUE(session.failures().empty()) << session.failures().front().first;
    operations = counting.operations();
  }
  ASSERT_GT(operations, 100U);
  std::uint64_t stopped = 0;
  std::uint64_t harmless = 0;
  constexpr std::uint64_t kStride = kSanitized ? 7 : 1;
  for (std::uint64_t index = 0; index < operations; index += kStride) {
    SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(seed) + ", device operation " + std::to_string(index));
    blockio::MemoryDevice memory(image);
    blockio::FaultyDevice faulty(memory);
    faulty.set_plan(GetParam() == Lasting::once ? blockio::fail_once(index) : blockio::fail_from(index));
    Session session(faulty, fault_options(seed));
    if (session.open()) {
      mixed(session);
      faulty.set_plan({});
      const bool failed = session.volume().store().read_only();
      stopped += failed ? 1 : 0;
      harmless += session.failures().empty() ? 1 : 0;
      // Stopped is stopped, though the device works again: no sync comes back from the dead.
      const std::size_t before = session.history().promises.size();
      if (failed) {
        EXPECT_FALSE(session.sync_all());
        EXPECT_FALSE(session.checkpoint());
        EXPECT_FALSE(session.create("after"));
        EXPECT_NE(session.volume().store().stats().failure, "");
        EXPECT_EQ(session.history().promises.size(), before);
        if (GetParam() == Lasting::once) expect_reason(memory, session.volume().store().stats().failure);
      }
      if (!failed && index % 2 == 0) {
        EXPECT_TRUE(session.sync_all());
        EXPECT_TRUE(session.close());
      }
      for (const auto& [what, code] : session.failures()) {
        EXPECT_TRUE(code == ErrorCode::io_error || code == ErrorCode::shut_down || code == ErrorCode::read_only)
            << what;
      }
      session.crash();
    }
    ASSERT_NO_FATAL_FAILURE(expect_promises(memory.snapshot(), session));
    if (HasFailure()) return;
  }
  std::cout << operations << " device operations: the volume stopped at " << stopped << ", nobody noticed at "
            << harmless << '\n';
}

INSTANTIATE_TEST_SUITE_P(Devices, InputOutputErrorTest, ::testing::Values(Lasting::once, Lasting::for_good),
                         [](const ::testing::TestParamInfo<Lasting>& lasting) {
                           return lasting.param == Lasting::once ? "Once" : "ForGood";
                         });

// Each kind of write that must not fail stops the volume once, for good, and the superblock says that fsck should look.
TEST(FailurePolicyTest, StopsOnceAndSaysSo) {
  using blockio::OpKind;
  struct Stopper {
    OpKind kind;
    std::uint64_t nth;
    std::function<bool(Session&)> act;
  };
  const std::vector<Stopper> stoppers = {
      {OpKind::write_durable, 0, [](Session& s) { return s.sync("f"); }},
      {OpKind::write_durable, 0, [](Session& s) { return s.commit(); }},
      {OpKind::write_durable, 0,
       [](Session& s) { return s.volume().store().set_label(s.context().io, "name").has_value(); }},
      {OpKind::write, 0, [](Session& s) { return s.checkpoint(); }},
      {OpKind::flush, 0, [](Session& s) { return s.checkpoint(); }},
      {OpKind::flush, 1, [](Session& s) { return s.checkpoint(); }},  // of the superblock
      {OpKind::flush, 0,
       [](Session& s) { return s.create("n") && s.set_flags("n", FS_NOCOW_FL) && s.write("n", 0, 8192); }},
  };
  for (const Stopper& stopper : stoppers) {
    blockio::MemoryDevice memory(formatted({}));
    blockio::FaultyDevice faulty(memory);
    unsigned calls = 0;
    Session::Options counting = fault_options(1);
    counting.volume.store.on_failure = [&calls] { ++calls; };
    Session session(faulty, std::move(counting));
    ASSERT_TRUE(session.open());
    ASSERT_TRUE(session.create("f"));
    ASSERT_TRUE(session.write("f", 0, 100));
    faulty.set_plan(blockio::fail_nth(stopper.kind, stopper.nth));
    EXPECT_FALSE(stopper.act(session));
    EXPECT_EQ(calls, 1U);
    EXPECT_FALSE(session.sync("f"));
    EXPECT_FALSE(session.sync_all());
    EXPECT_FALSE(session.checkpoint());
    EXPECT_FALSE(session.close());
    EXPECT_EQ(calls, 1U);
    const std::string why = session.volume().store().stats().failure;
    EXPECT_FALSE(why.empty());
    session.crash();
    expect_reason(memory, why);
    ASSERT_NO_FATAL_FAILURE(expect_promises(memory.snapshot(), session));
  }
}

// A failed write of data is its caller's error and nobody else's.
TEST(FailurePolicyTest, FailedDataLeavesTheOld) {
  blockio::MemoryDevice memory(formatted({}));
  blockio::FaultyDevice faulty(memory);
  Session::Options waiting = fault_options(1);
  waiting.from_page_cache = false;
  Session session(faulty, std::move(waiting));
  ASSERT_TRUE(session.open());
  ASSERT_TRUE(session.create("f"));
  ASSERT_TRUE(session.write("f", 0, 50'000));
  faulty.set_plan(blockio::fail_nth(blockio::OpKind::write, 0));
  EXPECT_FALSE(session.write("f", 4096, 8192));
  EXPECT_FALSE(session.volume().store().read_only());
  EXPECT_TRUE(session.write("f", 4096, 8192));
  EXPECT_TRUE(session.sync("f"));
  session.crash();
  ASSERT_NO_FATAL_FAILURE(expect_promises(memory.snapshot(), session));
}

// With every number of blocks left, from none to enough, each allocation in turn is the one that fails.
TEST(NoSpaceTest, AtEveryAllocation) {
  const blockio::MemoryImage image = formatted({});
  constexpr std::uint64_t kEnough = 110;
  std::uint64_t refused_first = 0;
  std::uint64_t refused_last = 0;
  for (std::uint64_t left = 0; left <= kEnough; left += kSanitized ? 7 : 1) {
    SCOPED_TRACE(std::to_string(left) + " blocks left");
    blockio::MemoryDevice memory(image);
    Session session(memory, fault_options(3));
    ASSERT_TRUE(session.open());
    session.fill(left);
    mixed(session);
    const std::size_t refused = session.failures().size();
    if (left == 0) refused_first = refused;
    refused_last = refused;
    for (const auto& [what, code] : session.failures()) {
      ASSERT_EQ(code, ErrorCode::no_space) << what;
      // What gives blocks back needs none.
      for (const char* const freeing : {"remove ", "shrink ", "punch "})
        ASSERT_FALSE(what.starts_with(freeing)) << what;
      ASSERT_FALSE(what.starts_with("fsync") || what.starts_with("sync") || what.starts_with("checkpoint")) << what;
    }
    // What was refused changed nothing, and all can be removed.
    std::string problem;
    ASSERT_TRUE(session.sync_all());
    session.crash();
    EXPECT_EQ(state_of(memory, problem), session.history().moments.back().view) << problem;
    ASSERT_TRUE(session.open());
    ASSERT_TRUE(session.unlink("filler"));
    ASSERT_TRUE(session.create("room"));
    ASSERT_TRUE(session.write("room", 0, 500'000));
    ASSERT_TRUE(session.close());
    ASSERT_NO_FATAL_FAILURE(expect_promises(memory.snapshot(), session));
  }
  EXPECT_GT(refused_first, 10U);
  EXPECT_EQ(refused_last, 0U);
}

// What statfs says is available can be written, and then no more than what one node or two may take.
TEST(NoSpaceTest, WhatIsSaidToBeFreeCanBeWritten) {
  blockio::MemoryDevice memory(formatted({}));
  Session session(memory, fault_options(5));
  ASSERT_TRUE(session.open());
  ASSERT_TRUE(session.create("f"));
  const std::uint64_t available = session.volume().space().available;
  constexpr std::uint64_t kPiece = 16;
  std::uint64_t written = 0;
  while (session.write("f", written * 4096, kPiece * 4096)) written += kPiece;
  EXPECT_GE(written + kPiece + available / 50, available);
  EXPECT_LE(written, available);
}

TEST(NoSpaceTest, FillingAndEmptyingLeaksNothing) {
  blockio::MemoryDevice memory(formatted({}));
  Session::Options without_history = fault_options(first_seed());
  without_history.keep_history = false;
  Session session(memory, std::move(without_history));
  ASSERT_TRUE(session.open());
  const auto settled = [&session] {
    EXPECT_TRUE(session.checkpoint());
    EXPECT_TRUE(session.checkpoint());
    return session.volume().space().free;
  };
  constexpr std::uint64_t kBlock = 4096;
  constexpr std::uint64_t kMostAgain = 300'000;
  const std::uint64_t free = settled();
  const std::uint64_t cycles = scaled(50, 4);
  std::uint64_t files_in_all = 0;
  std::uint64_t pieces = 0;  // extents
  std::uint64_t first_pieces = 0;
  std::uint64_t last_pieces = 0;
  for (std::uint64_t cycle = 0; cycle < cycles; ++cycle) {
    SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(first_seed()) + ", cycle " + std::to_string(cycle));
    std::vector<std::string> names;
    for (bool room = true; room;) {
      names.push_back("f" + std::to_string(names.size()));
      room = session.create(names.back()) && session.write(names.back(), 0, 1 + session.below(600'000));
    }
    if (!session.node(names.back())) names.pop_back();
    ASSERT_GT(names.size(), 10U);
    files_in_all += names.size();
    pieces = session.volume().store().item_count(format::ItemKind::extent);
    if (cycle == 0) first_pieces = pieces * 100 / names.size();
    last_pieces = pieces * 100 / names.size();
    ASSERT_EQ(session.failures().back().second, ErrorCode::no_space);
    const std::size_t failures = session.failures().size();
    std::shuffle(names.begin(), names.end(), session.random());
    // Every other one first, so that what is free lies in pieces when the volume fills again.
    if (cycle % 3 == 1) {
      for (std::size_t i = 0; i < names.size(); i += 2) {
        ASSERT_TRUE(session.unlink(names[i]));
      }
      // Without a checkpoint of its own: what these removals gave back is there before anything is refused.
      const std::uint64_t available = session.volume().space().available * kBlock;
      std::uint64_t written = 0;
      for (std::size_t i = 0; session.create("g" + std::to_string(i)); ++i) {
        names.push_back("g" + std::to_string(i));
        const std::uint64_t size = 1 + session.below(kMostAgain);
        if (!session.write(names.back(), 0, size)) break;
        written += size;
      }
      ASSERT_GT(available, 4'000'000U);
      EXPECT_GT(written + available / 20 + kMostAgain, available);
    }
    for (const std::string& name : names) {
      if (!session.node(name)) continue;
      ASSERT_TRUE(session.unlink(name)) << name;
    }
    ASSERT_LE(session.failures().size(), failures + 1);
    if (cycle % 10 == 9) {
      ASSERT_TRUE(session.remount());
    }
    ASSERT_EQ(settled(), free);
  }
  EXPECT_LE(last_pieces, 2 * first_pieces);
  ASSERT_TRUE(session.close());
  Checker checker;
  EXPECT_EQ(checker.examine(memory.snapshot(), Care::used).problem, "");
  std::cout << cycles << " cycles, " << files_in_all << " files; extents of 100 files: " << first_pieces
            << " in the first, " << last_pieces << " in the last cycle\n";
}

}  // namespace
}  // namespace ashlar::crash_test
