// Files put together on the device: fewer pieces, and nothing else to be seen of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>

#include "blockio/aligned_buffer.h"
#include "blockio/immediate_queue.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

class Defragment : public ::testing::TestWithParam<Geometry> {
 protected:
  static VolumeOptions with_access_times() {
    VolumeOptions options = Rig::quiet_options();
    options.access_times = AccessTimes::always;
    return options;
  }
  [[nodiscard]] std::uint64_t block() const { return rig.block_size(); }
  [[nodiscard]] Volume& volume() { return rig.volume(); }

  struct Total {
    std::uint64_t runs = 0;
    std::uint64_t bytes = 0;
    std::uint64_t steps = 0;
  };
  // All steps of it.
  Result<Total> try_defragment(InodeNumber file, DefragmentRequest request = {}) {
    return defragment_by(rig.context(), file, request);
  }
  Result<Total> defragment_by(Context& context, InodeNumber file, DefragmentRequest request = {}) {
    Total total;
    request.inode = file;
    request.position = 0;
    blockio::AlignedBuffer buffer(kMaxWriteBytes);
    for (;;) {
      const DefragmentStep step = TRY(volume().defragment(context, request, buffer.span()));
      total.runs += step.runs;
      total.bytes += step.bytes;
      ++total.steps;
      if (step.done) return total;
      if (step.next <= request.position) return fail(ErrorCode::try_again, "no progress");
      request.position = step.next;
    }
  }
  Total defragment(InodeNumber file, const DefragmentRequest& request = {}) {
    const auto total = try_defragment(file, request);
    EXPECT_TRUE(total) << total.error().message();
    return total.value_or(Total{});
  }
  std::uint64_t runs(InodeNumber file) {
    DefragmentRequest look;
    look.dry_run = true;
    return defragment(file, look).runs;
  }

  // A file whose blocks were overwritten in random order; what it holds.
  std::string age(InodeNumber file, std::uint64_t blocks, unsigned seed = 1) {
    std::string contents = pattern(blocks * block(), seed);
    rig.write(file, 0, contents);
    std::mt19937_64 random(seed);
    for (std::uint64_t i = 0; i < blocks; ++i) {
      const std::uint64_t at = random() % blocks * block();
      const std::string one = pattern(block(), seed + static_cast<unsigned>(i));
      contents.replace(at, one.size(), one);
      rig.write(file, at, one);
    }
    return contents;
  }

  // Takes all the space there is, for a file; and how long that is.
  std::pair<InodeNumber, std::uint64_t> fill() {
    const InodeNumber filler = rig.make_file(kRootInode, "filler");
    std::uint64_t offset = 0;
    for (std::uint64_t piece = kMiB; piece >= block(); piece /= 2) {
      while (volume().allocate(rig.context(), filler, 0, offset, piece)) offset += piece;
    }
    return {filler, offset};
  }

  // Where data and holes begin, up to the end.
  std::vector<std::uint64_t> edges(InodeNumber file) {
    std::vector<std::uint64_t> found;
    const std::uint64_t size = rig.stat(file).size;
    for (std::uint64_t at = 0; at < size;) {
      const int whence = found.size() % 2 == 0 ? SEEK_DATA : SEEK_HOLE;
      const auto next = volume().seek(rig.context(), file, at, whence);
      if (!next) break;
      found.push_back(at = *next);
    }
    return found;
  }

  // Everything about a file that must stay.
  struct Seen {
    Attributes attributes;
    std::string contents;
    std::vector<std::uint64_t> edges;
  };
  Seen see(InodeNumber file) {
    const Attributes attributes = rig.stat(file);
    return {attributes, rig.read(file, 0, attributes.size), edges(file)};
  }
  void expect_unchanged(InodeNumber file, const Seen& before) {
    const Seen now = see(file);
    EXPECT_EQ(now.attributes.size, before.attributes.size);
    EXPECT_EQ(now.attributes.blocks, before.attributes.blocks);
    EXPECT_EQ(now.attributes.mode, before.attributes.mode);
    EXPECT_EQ(now.attributes.flags, before.attributes.flags);
    for (const auto time : {&Attributes::accessed, &Attributes::modified, &Attributes::changed, &Attributes::born}) {
      EXPECT_EQ((now.attributes.*time).tv_sec, (before.attributes.*time).tv_sec);
      EXPECT_EQ((now.attributes.*time).tv_nsec, (before.attributes.*time).tv_nsec);
    }
    EXPECT_TRUE(same(now.contents, before.contents));
    EXPECT_EQ(now.edges, before.edges);
  }

  Rig rig{GetParam(), with_access_times()};
};

TEST_P(Defragment, AnAgedFileBecomesOneRun) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const std::string contents = age(file, 600);
  const std::uint64_t free = rig.free_blocks();
  rig.context().now = {2'000'000, 7};
  volume().accessed(rig.context(), file);  // waits in memory to be written
  rig.context().now = {3'000'000, 9};
  const Seen before = see(file);
  EXPECT_TRUE(same(before.contents, contents));
  const std::uint64_t many = runs(file);
  EXPECT_GT(many, 200U);
  const Total moved = defragment(file);
  EXPECT_EQ(moved.runs, many);
  EXPECT_GE(moved.bytes, contents.size() / 2);
  EXPECT_EQ(runs(file), 1U);
  expect_unchanged(file, before);
  // Once more, nothing is left to do.
  EXPECT_EQ(defragment(file).bytes, 0U);
  EXPECT_GE(rig.free_blocks(), free);  // the tree needs less
  rig.check();
  rig.remount();
  expect_unchanged(file, before);
  EXPECT_EQ(runs(file), 1U);
  rig.check();
}

TEST_P(Defragment, ACrashLeavesTheOldPlacesOrTheNewOnes) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const std::string contents = age(file, 300);
  ASSERT_TRUE(volume().sync_all(rig.context()));
  defragment(file);
  rig.crash();
  rig.mount();
  EXPECT_TRUE(same(rig.read(file, 0, contents.size()), contents));
  rig.check();
  defragment(file);
  ASSERT_TRUE(volume().sync_inode(rig.context(), file, true));
  rig.crash();
  rig.mount();
  EXPECT_TRUE(same(rig.read(file, 0, contents.size()), contents));
  EXPECT_EQ(runs(file), 1U);
  rig.check();
}

TEST_P(Defragment, HolesAndWhatIsPreallocatedStay) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const InodeNumber other = rig.make_file(kRootInode, "g");
  for (std::uint64_t i = 0; i < 60; ++i) {
    rig.write(file, (59 - i) * 3 * block(), pattern(block() + i % 2 * block(), static_cast<unsigned>(i)));
    rig.write(other, i * block(), pattern(block(), 99));  // in between on the device
    if (i % 5 == 0) {
      const int mode = i % 2 == 0 ? 0 : FALLOC_FL_KEEP_SIZE;
      ASSERT_TRUE(volume().allocate(rig.context(), file, mode, (200 + 4 * i) * block(), 3 * block()));
    }
  }
  rig.write(file, 220 * block(), pattern(block() / 2, 5));  // into what is preallocated
  const Seen before = see(file);
  EXPECT_GT(runs(file), 30U);
  defragment(file);
  EXPECT_EQ(runs(file), 1U);
  expect_unchanged(file, before);
  // What was unwritten still is: written in place, and zeros around.
  rig.write(file, 201 * block(), pattern(block(), 6));
  EXPECT_TRUE(same(rig.read(file, 201 * block(), block()), pattern(block(), 6)));
  EXPECT_TRUE(same(rig.read(file, 202 * block(), block()), std::string(block(), '\0')));
  rig.check();
  rig.remount();
  rig.check();
}

TEST_P(Defragment, LongRunsAreLeftAlone) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  rig.write(file, 0, pattern(3 * kMiB, 1));
  const std::uint64_t whole = runs(file);
  DefragmentRequest request;
  request.shortest_run = 256U << 10;
  EXPECT_EQ(defragment(file, request).bytes, 0U);
  // One block in the middle goes back to where it was, once a checkpoint has made that free.
  rig.write(file, kMiB + 5 * block(), pattern(block(), 2));
  ASSERT_EQ(runs(file), whole + 2);
  ASSERT_TRUE(volume().store().checkpoint(rig.io()));
  EXPECT_EQ(defragment(file, request).bytes, block());
  EXPECT_EQ(runs(file), whole);
  // And so does the first.
  rig.write(file, 0, pattern(block(), 3));
  ASSERT_TRUE(volume().store().checkpoint(rig.io()));
  EXPECT_EQ(defragment(file, request).bytes, block());
  EXPECT_EQ(runs(file), whole);
  // What lies between long ones and finds no place there stays.
  rig.write(file, kMiB, pattern(block(), 2));
  ASSERT_TRUE(volume().store().checkpoint(rig.io()));
  fill();
  const std::uint64_t now = runs(file);
  static_cast<void>(try_defragment(file, request));
  EXPECT_EQ(runs(file), now);
  rig.check();
}

TEST_P(Defragment, InlineEmptyAndSparseFilesHaveNothingToMove) {
  const InodeNumber tiny = rig.make_file(kRootInode, "tiny");
  rig.write(tiny, 0, "inline");
  const InodeNumber empty = rig.make_file(kRootInode, "empty");
  const InodeNumber hole = rig.make_file(kRootInode, "hole");
  rig.truncate(hole, 1ULL << 40);
  for (const InodeNumber file : {tiny, empty, hole}) {
    const Total total = defragment(file);
    EXPECT_EQ(total.bytes, 0U);
    EXPECT_EQ(total.runs, 0U);
    EXPECT_EQ(total.steps, 1U);
  }
  const InodeNumber directory = rig.make_directory(kRootInode, "d");
  EXPECT_EQ(error_of(try_defragment(directory)), ErrorCode::is_a_directory);
  DefragmentRequest far;
  far.inode = hole;
  blockio::AlignedBuffer buffer(kMaxWriteBytes);
  for (const std::uint64_t position : {std::uint64_t{1} << 50, ~std::uint64_t{0}}) {
    far.position = position;
    const auto step = volume().defragment(rig.context(), far, buffer.span());
    ASSERT_TRUE(step);
    EXPECT_TRUE(step->done);
  }
}

TEST_P(Defragment, ProtectedFilesToo) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  age(file, 100);
  for (const auto flag : {std::uint32_t{FS_IMMUTABLE_FL}, std::uint32_t{FS_APPEND_FL}}) {
    ASSERT_TRUE(volume().set_inode_flags(rig.context(), file, flag));
    const Seen before = see(file);
    defragment(file);
    EXPECT_EQ(runs(file), 1U);
    expect_unchanged(file, before);
    ASSERT_TRUE(volume().set_inode_flags(rig.context(), file, 0));
    age(file, 100, 7);
  }
  rig.check();
}

TEST_P(Defragment, FilesWithoutChecksums) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const InodeNumber other = rig.make_file(kRootInode, "g");
  ASSERT_TRUE(volume().set_inode_flags(rig.context(), file, FS_NOCOW_FL));
  std::string contents;
  for (unsigned i = 0; i < 50; ++i) {
    const std::string one = pattern(2 * block(), i);
    rig.write(file, contents.size(), one);
    rig.write(other, i * block(), pattern(block(), 99));
    contents += one;
  }
  const Seen before = see(file);
  EXPECT_GT(runs(file), 20U);
  defragment(file);
  EXPECT_EQ(runs(file), 1U);
  expect_unchanged(file, before);
  // They are overwritten in place as before.
  rig.write(file, 10 * block(), pattern(block(), 1000));
  EXPECT_EQ(runs(file), 1U);
  ASSERT_TRUE(volume().sync_inode(rig.context(), file, true));
  rig.crash();
  rig.mount();
  contents.replace(10 * block(), block(), pattern(block(), 1000));
  EXPECT_TRUE(same(rig.read(file, 0, contents.size()), contents));
  rig.check();
}

TEST_P(Defragment, ADryRunWritesNothing) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  age(file, 200);
  ASSERT_TRUE(volume().sync_all(rig.context()));
  const std::uint64_t many = runs(file);
  const std::uint64_t records = volume().store().stats().log.record_bytes;
  DefragmentRequest look;
  look.dry_run = true;
  EXPECT_GT(defragment(file, look).bytes, 0U);
  EXPECT_EQ(volume().store().stats().log.record_bytes, records);
  EXPECT_EQ(runs(file), many);
}

TEST_P(Defragment, DamageIsToldAndNothingIsLost) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const std::string contents = age(file, 100);
  ASSERT_TRUE(volume().sync_all(rig.context()));
  const std::uint64_t hurt_at = 40 * block();
  const std::string hurt = contents.substr(hurt_at, block());
  std::vector<std::byte> found(block());
  const blockio::MemoryImage image = rig.device().snapshot();
  for (std::uint64_t at = 0; at < rig.device().geometry().size; at += block()) {
    image.read(at, found);
    if (std::memcmp(found.data(), hurt.data(), hurt.size()) != 0) continue;
    found[7] ^= std::byte{1};
    blockio::AlignedBuffer bad(block());
    std::memcpy(bad.data(), found.data(), found.size());
    blockio::IoOp op = blockio::IoOp::write(at, bad.span().first(block()));
    ASSERT_TRUE(rig.io().run(op));
  }
  const std::uint64_t many = runs(file);
  const std::uint64_t free = rig.free_blocks();
  EXPECT_EQ(error_of(try_defragment(file)), ErrorCode::io_error);
  EXPECT_EQ(runs(file), many);
  EXPECT_EQ(rig.free_blocks(), free);
  EXPECT_EQ(error_of(rig.try_read(file, hurt_at, block())), ErrorCode::io_error);
  EXPECT_TRUE(same(rig.read(file, 0, hurt_at), contents.substr(0, hurt_at)));
  rig.check();
}

TEST_P(Defragment, AFailedReadOrWriteChangesNothing) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const std::string contents = age(file, 100);
  const std::uint64_t free = rig.free_blocks();
  const std::uint64_t many = runs(file);
  for (const blockio::OpKind fails : {blockio::OpKind::read, blockio::OpKind::write}) {
    const auto io =
        *blockio::ImmediateQueue::open(rig.device().geometry(), {},
                                       {[&](const blockio::IoOp& op, std::size_t&) -> std::optional<ErrorCode> {
                                          if (op.kind == fails) return ErrorCode::io_error;
                                          return rig.device().perform(op);
                                        },
                                        {}});
    Context context{*io};
    EXPECT_EQ(error_of(defragment_by(context, file)), ErrorCode::io_error);
    EXPECT_EQ(runs(file), many);
    EXPECT_TRUE(same(rig.read(file, 0, contents.size()), contents));
    EXPECT_EQ(rig.free_blocks(), free);
  }
  defragment(file);
  EXPECT_EQ(runs(file), 1U);
  rig.check();
}

TEST_P(Defragment, AFullVolumeSaysSoAndLosesNothing) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const std::string contents = age(file, 200);
  fill();
  const std::uint64_t many = runs(file);
  EXPECT_EQ(error_of(try_defragment(file)).value_or(ErrorCode::no_space), ErrorCode::no_space);
  EXPECT_LE(runs(file), many);
  EXPECT_TRUE(same(rig.read(file, 0, contents.size()), contents));
  rig.check();
  ASSERT_TRUE(volume().unlink(rig.context(), kRootInode, "filler"));
  ASSERT_TRUE(volume().store().checkpoint(rig.io()));
  defragment(file);
  EXPECT_EQ(runs(file), 1U);
  EXPECT_TRUE(same(rig.read(file, 0, contents.size()), contents));
  rig.check();
}

// Free space in short runs only: as few pieces as it allows, and an end.
TEST_P(Defragment, ScatteredSpaceIsUsedAsFarAsItGoes) {
  const InodeNumber file = rig.make_file(kRootInode, "f");
  const std::string contents = age(file, 300);
  const auto [filler, offset] = fill();
  for (std::uint64_t at = 0; at < offset; at += 32 * block()) {
    ASSERT_TRUE(volume().allocate(rig.context(), filler, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 8 * block()));
  }
  ASSERT_TRUE(volume().store().checkpoint(rig.io()));
  const std::uint64_t many = runs(file);
  for (int pass = 0; pass < 20; ++pass) {
    const auto total = try_defragment(file);
    ASSERT_TRUE(total) << total.error().message();
    if (total->bytes == 0) break;
    ASSERT_LT(pass, 19);
  }
  EXPECT_LT(runs(file), many / 4);
  EXPECT_TRUE(same(rig.read(file, 0, contents.size()), contents));
  rig.check();
}

INSTANTIATE_TEST_SUITE_P(Geometries, Defragment, ::testing::Values(kSmallNodes, kMiddleNodes, kLargeNodes));

}  // namespace
}  // namespace ashlar::volume::testing
