// Removals and truncations that an error interrupts in a volume that goes on: nothing stale shows, and they are
// finished later.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "blockio/faulty_device.h"
#include "tests/crash/faults.h"
#include "tests/crash/view.h"

namespace ashlar::crash_test {
namespace {

constexpr Geometry kSmallNodes{16ULL << 20, 512, 2048};
constexpr std::uint64_t kBlock = 512;
constexpr unsigned kPieces = 200;  // more than two transactions can cut
constexpr std::uint64_t kMostReads = 200;
constexpr std::uint64_t kShort = 3 * kBlock + 100;
constexpr std::uint64_t kLong = std::uint64_t{2} * kPieces * kBlock;

// A volume in which nearly nothing stays in memory, with a file in many pieces.
class Fragmented {
 public:
  Fragmented() {
    EXPECT_TRUE(session.open());
    EXPECT_TRUE(session.create("f"));
    for (unsigned i = 0; i < kPieces; ++i) {
      session.write("f", std::uint64_t{2} * i * kBlock, kBlock, volume::WriteOrigin::caller);
    }
    EXPECT_TRUE(session.remount());  // and so little of its tree is in memory
  }

  // As soon as something is unfinished, until fault_free().
  void fail_reads_when_unfinished() {
    faulty.set_plan([this](const blockio::FaultQuestion& question) {
      const bool fails = question.op.kind == blockio::OpKind::read && unfinished() != 0;
      return fails ? blockio::Fault::fail : blockio::Fault::none;
    });
  }
  // From the nth read on, likewise.
  void fail_reads(std::uint64_t from) {
    reads_ = 0;
    faulty.set_plan([this, from](const blockio::FaultQuestion& question) {
      const bool fails = question.op.kind == blockio::OpKind::read && reads_++ >= from;
      return fails ? blockio::Fault::fail : blockio::Fault::none;
    });
  }
  void fault_free() { faulty.set_plan({}); }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  [[nodiscard]] std::uint64_t unfinished() { return session.volume().store().item_count(format::ItemKind::orphan); }
  void cut_short() {
    fail_reads_when_unfinished();
    ASSERT_TRUE(session.truncate("f", kShort));
    fault_free();
    ASSERT_EQ(unfinished(), 1U);
    ASSERT_FALSE(session.volume().store().read_only());
  }
  // Against the model.
  void expect_as_it_should_be() {
    Viewer viewer;
    const std::string shown = plain(viewer.look_at(session.volume(), session.context()));
    EXPECT_EQ(shown, plain(session.root())) << difference(plain(session.root()), shown);
  }
  void expect_finished_by_unmounting() {
    ASSERT_TRUE(session.remount());
    EXPECT_EQ(unfinished(), 0U);
    expect_as_it_should_be();
    ASSERT_TRUE(session.close());
    ASSERT_NO_FATAL_FAILURE(expect_promises(memory.snapshot(), session));
  }

  blockio::MemoryDevice memory{formatted(kSmallNodes)};
  blockio::FaultyDevice faulty{memory};
  Session session{faulty, options()};

 private:
  static Session::Options options() {
    Session::Options options = fault_options(1);
    options.volume.store.cache_bytes = 4096;
    return options;
  }
  std::uint64_t reads_ = 0;
};

TEST(UnfinishedTest, WhatATruncationCutOffStaysAway) {
  Fragmented volume;
  ASSERT_NO_FATAL_FAILURE(volume.cut_short());
  ASSERT_TRUE(volume.session.truncate("f", kLong));
  volume.expect_as_it_should_be();
  EXPECT_EQ(volume.unfinished(), 0U);
  ASSERT_NO_FATAL_FAILURE(volume.expect_finished_by_unmounting());
}

TEST(UnfinishedTest, ATruncationIsFinishedByUnmounting) {
  Fragmented volume;
  ASSERT_NO_FATAL_FAILURE(volume.cut_short());
  ASSERT_NO_FATAL_FAILURE(volume.expect_finished_by_unmounting());
}

// The same when it is the mount after a crash that fails to finish.
TEST(UnfinishedTest, WhatATruncationCutOffStaysAwayAfterAMountThatCouldNotFinishIt) {
  unsigned interrupted = 0;
  for (std::uint64_t from = 0; from < kMostReads; ++from) {
    SCOPED_TRACE("reads fail from " + std::to_string(from));
    Fragmented volume;
    ASSERT_NO_FATAL_FAILURE(volume.cut_short());
    ASSERT_TRUE(volume.session.sync_all());
    volume.session.crash();
    volume.fail_reads(from);
    const bool mounted = volume.session.open();
    const bool over = volume.reads() < from;
    volume.fault_free();
    if (over) break;
    if (!mounted || volume.unfinished() == 0) continue;
    ++interrupted;
    ASSERT_TRUE(volume.session.truncate("f", kLong));
    ASSERT_NO_FATAL_FAILURE(volume.expect_as_it_should_be());
  }
  EXPECT_GT(interrupted, 0U);
}

// A removal that failed is done when its space is needed, whatever needs it.
TEST(UnfinishedTest, ARemovalThatFailedIsDoneWhenItsSpaceIsNeeded) {
  using Operation = std::function<bool(Session&)>;
  const std::vector<Operation> operations = {
      [](Session& s) { return s.create("new"); },
      [](Session& s) { return s.mkdir("new"); },
      [](Session& s) { return s.symlink(std::string(900, 'x'), "new"); },
      [](Session& s) { return s.link("other", "new"); },
      [](Session& s) { return s.set_xattr("other", "user.x", 1500); },
      [](Session& s) { return s.make_unnamed("") != nullptr; },
  };
  for (std::size_t i = 0; i < operations.size(); ++i) {
    SCOPED_TRACE("operation " + std::to_string(i));
    Fragmented volume;
    Session& session = volume.session;
    ASSERT_TRUE(session.create("other"));
    session.fill(0);
    unsigned names = 0;
    do {
      while (session.create("n" + std::to_string(names))) ++names;
      ASSERT_TRUE(session.checkpoint());
    } while (session.create("n" + std::to_string(names++)));
    ASSERT_FALSE(operations[i](session));
    volume.fail_reads_when_unfinished();
    ASSERT_TRUE(session.unlink("f"));
    volume.fault_free();
    ASSERT_EQ(volume.unfinished(), 1U);
    EXPECT_TRUE(operations[i](session));
    volume.expect_as_it_should_be();
  }
}

}  // namespace
}  // namespace ashlar::crash_test
