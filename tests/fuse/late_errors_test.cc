#include "fs/fuse/late_errors.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <thread>

namespace ashlar::fuse {
namespace {

TEST(LateErrors, EachIsToldOnce) {
  LateErrors errors;
  EXPECT_FALSE(errors.take(InodeNumber{2}));
  errors.note(InodeNumber{2}, ErrorCode::no_space);
  errors.note(InodeNumber{3}, ErrorCode::io_error);
  EXPECT_FALSE(errors.take(InodeNumber{4}));
  EXPECT_EQ(errors.take(InodeNumber{2}), ErrorCode::no_space);
  EXPECT_FALSE(errors.take(InodeNumber{2}));
  EXPECT_EQ(errors.take(InodeNumber{3}), ErrorCode::io_error);
}

TEST(LateErrors, TheLastOfAFileCounts) {
  LateErrors errors;
  errors.note(InodeNumber{2}, ErrorCode::no_space);
  errors.note(InodeNumber{2}, ErrorCode::io_error);
  EXPECT_EQ(errors.take(InodeNumber{2}), ErrorCode::io_error);
  EXPECT_FALSE(errors.take(InodeNumber{2}));
}

TEST(LateErrors, TheOldestGoesWhenThereAreTooMany) {
  LateErrors errors;
  for (std::uint64_t i = 0; i <= LateErrors::kMostFiles; ++i) errors.note(InodeNumber{i + 2}, ErrorCode::no_space);
  EXPECT_FALSE(errors.take(InodeNumber{2}));
  for (std::uint64_t i = 1; i <= LateErrors::kMostFiles; ++i) EXPECT_TRUE(errors.take(InodeNumber{i + 2})) << i;
}

TEST(LateErrors, TheKernelIsToldOfEveryFailure) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  LateErrors errors;
  std::thread announcer([&] { errors.announce(ends[1]); });
  for (const std::uint64_t number : {2ULL, 7ULL, 2ULL}) {
    errors.note(InodeNumber{number}, ErrorCode::no_space);
    struct {
      fuse_out_header header;
      fuse_notify_inval_inode_out body;
    } told{};
    ASSERT_EQ(read(ends[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
    EXPECT_EQ(told.header.len, sizeof told);
    EXPECT_EQ(told.header.error, FUSE_NOTIFY_INVAL_INODE);
    EXPECT_EQ(told.header.unique, 0U);
    EXPECT_EQ(told.body.ino, number);
    EXPECT_LT(told.body.off, 0);  // of the attributes alone
  }
  errors.stop();
  announcer.join();
  close(ends[0]);
  close(ends[1]);
}

TEST(LateErrors, StoppingEndsTheAnnouncer) {
  LateErrors errors;
  errors.stop();
  errors.note(InodeNumber{2}, ErrorCode::no_space);
  errors.announce(-1);
}

}  // namespace
}  // namespace ashlar::fuse
