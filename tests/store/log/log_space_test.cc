// A full log waits for a checkpoint; a failed one stays failed.
#include "tests/store/log/log_fixture.h"

namespace ashlar::store {
namespace {

class LogSpace : public LogFixture {
 protected:
  [[nodiscard]] std::function<Status()> refuse() {
    return [] { return Status(fail(ErrorCode::no_space)); };
  }
};

TEST_F(LogSpace, AFullLogAsksForSpaceUntilThereIsSome) {
  shrink_log(16);
  begin();
  while (try_append(make_record(2000))) {
  }
  EXPECT_GT(writer_->fill(), 0.5);
  int asked = 0;
  const Status reserved = writer_->reserve(2000, [&] {
    // The first time nothing comes of it.
    if (++asked == 2) checkpoint();
    return Status();
  });
  EXPECT_TRUE(reserved.has_value());
  EXPECT_EQ(asked, 2);
  writer_->unreserve(2000);
  EXPECT_EQ(writer_->fill(), 0.0);
}

TEST_F(LogSpace, WhatForbidsSpaceIsReturned) {
  shrink_log(16);
  begin();
  while (try_append(make_record(2000))) {
  }
  const Status reserved = writer_->reserve(2000, [] { return Status(fail(ErrorCode::read_only)); });
  ASSERT_FALSE(reserved.has_value());
  EXPECT_EQ(reserved.error().code(), ErrorCode::read_only);
}

TEST_F(LogSpace, WaitingInVainEnds) {
  shrink_log(16);
  begin();
  while (try_append(make_record(2000))) {
  }
  const Status reserved = writer_->reserve(2000, [] { return Status(); });
  ASSERT_FALSE(reserved.has_value());
  EXPECT_EQ(reserved.error().code(), ErrorCode::busy);
}

TEST_F(LogSpace, RecordsThatNeverFitAreRefused) {
  shrink_log(16);
  begin();
  const Status reserved = writer_->reserve(writer_->max_record() + 1, refuse());
  ASSERT_FALSE(reserved.has_value());
  EXPECT_EQ(reserved.error().code(), ErrorCode::argument_too_large);
  EXPECT_TRUE(writer_->reserve(writer_->max_record(), refuse()).has_value());
}

TEST_F(LogSpace, ReservationsCountAgainstEachOther) {
  shrink_log(16);
  begin();
  std::size_t granted = 0;
  while (writer_->reserve(100, refuse()).has_value()) ++granted;
  // Each may have to be a chunk of its own.
  EXPECT_LE(granted, 16U);
  EXPECT_GE(granted, 8U);
  for (std::size_t i = 0; i < granted; ++i) writer_->unreserve(100);
  EXPECT_EQ(writer_->fill(), 0.0);
}

TEST_F(LogSpace, WhatTheTailPassedNeedNotBeWritten) {
  begin();
  while (!writer_->backlog()) append(make_record(3000));
  const Lsn end = writer_->end();
  checkpoint();
  EXPECT_FALSE(writer_->backlog());
  int operations = 0;
  device_.watch([&](blockio::IoOp&) { ++operations; });
  EXPECT_TRUE(writer_->sync(*io_, end).has_value());
  EXPECT_EQ(operations, 0);
  device_.watch({});
  append(make_record(10));
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  expect_log_holds(1);
}

TEST_F(LogSpace, AFailedWriteStaysFailed) {
  begin();
  append(make_record(10));
  ASSERT_TRUE(writer_->sync(*io_, writer_->end()).has_value());
  append(make_record(10));
  device_.watch([](blockio::IoOp& op) { WatchedDevice::spoil(op); });
  const Status first = writer_->sync(*io_, writer_->end());
  ASSERT_FALSE(first.has_value());
  EXPECT_NE(first.error().code(), ErrorCode::shut_down) << "the first says what happened";
  device_.watch({});
  int operations = 0;
  device_.watch([&](blockio::IoOp&) { ++operations; });
  for (int i = 0; i < 3; ++i) {
    append(make_record(10));
    const Status later = writer_->sync(*io_, writer_->end());
    ASSERT_FALSE(later.has_value());
    EXPECT_EQ(later.error().code(), ErrorCode::shut_down);
  }
  EXPECT_EQ(operations, 0) << "never retried";
  device_.watch({});
  EXPECT_EQ(read_back().size(), 1U);
}

TEST_F(LogSpace, FailPermanentlyFailsEverySyncAfterIt) {
  begin();
  append(make_record(10));
  writer_->fail_permanently();
  const Status later = writer_->sync(*io_, writer_->end());
  ASSERT_FALSE(later.has_value());
  EXPECT_EQ(later.error().code(), ErrorCode::shut_down);
}

}  // namespace
}  // namespace ashlar::store
