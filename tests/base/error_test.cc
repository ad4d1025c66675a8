#include "fs/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <utility>

namespace ashlar {
namespace {

// Every code there is, in order; `shut_down` is the last.
template <typename Visitor>
void for_each_code(Visitor visit) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::shut_down); ++i) visit(static_cast<ErrorCode>(i));
}

TEST(ErrorCodeTest, EveryCodeHasAnErrnoAndANounPhrase) {
  for_each_code([](ErrorCode code) {
    SCOPED_TRACE(static_cast<int>(code));
    EXPECT_GT(to_errno(code), 0);
    const std::string_view text = describe(code);
    ASSERT_FALSE(text.empty());
    EXPECT_NE(text.back(), '.');
    EXPECT_EQ(text.find('\n'), std::string_view::npos);
  });
}

TEST(ErrorCodeTest, ErrnoSurvivesTheRoundTripFromEveryCode) {
  for_each_code([](ErrorCode code) {
    SCOPED_TRACE(describe(code));
    EXPECT_EQ(to_errno(from_errno(to_errno(code))), to_errno(code));
  });
}

TEST(ErrorCodeTest, SystemErrorsGetThePosixCodeNotAFinding) {
  EXPECT_EQ(from_errno(EIO), ErrorCode::io_error);
  EXPECT_EQ(from_errno(EINVAL), ErrorCode::invalid_argument);
  EXPECT_EQ(from_errno(ENOSPC), ErrorCode::no_space);
  EXPECT_EQ(from_errno(EOPNOTSUPP), ErrorCode::not_supported);
  EXPECT_EQ(from_errno(ENXIO), ErrorCode::no_such_device);
}

TEST(ErrorCodeTest, AnUnknownErrnoIsAnInputOutputError) { EXPECT_EQ(from_errno(100000), ErrorCode::io_error); }

TEST(ErrorTest, WithoutDetailTheMessageDescribesTheCode) {
  const Error error(ErrorCode::no_space);
  EXPECT_EQ(error.code(), ErrorCode::no_space);
  EXPECT_EQ(error.error_number(), ENOSPC);
  EXPECT_EQ(error.message(), "no space left on device");
}

TEST(ErrorTest, DetailReplacesTheDescription) {
  const Error error(ErrorCode::bad_checksum, "block 17");
  EXPECT_EQ(error.error_number(), EIO);
  EXPECT_EQ(error.message(), "block 17");
}

TEST(ErrorTest, ContextIsPutBeforeTheMessageOutermostFirst) {
  Error error = Error(ErrorCode::not_a_volume).with_context("superblock").with_context("disk.img");
  EXPECT_EQ(error.code(), ErrorCode::not_a_volume);
  EXPECT_EQ(error.message(), "disk.img: superblock: not an AshlarFS volume");
}

TEST(ErrorTest, MovingKeepsCodeAndDetail) {
  Error first(ErrorCode::busy, "held by 42");
  const Error second = std::move(first);
  EXPECT_EQ(second.code(), ErrorCode::busy);
  EXPECT_EQ(second.message(), "held by 42");
}

}  // namespace
}  // namespace ashlar
