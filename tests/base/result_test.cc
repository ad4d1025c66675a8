#include "fs/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace ashlar {
namespace {

Result<int> parse_digit(char c) {
  if (c < '0' || c > '9') return fail(ErrorCode::invalid_argument, std::string("not a digit: ") + c);
  return c - '0';
}

// Counts how far it got, so that a test sees TRY leave at the right place.
Result<int> sum_of_digits(std::string_view text, int& evaluated) {
  int sum = 0;
  for (const char c : text) {
    sum += TRY(parse_digit(c));
    ++evaluated;
  }
  return sum;
}

Status require_digits(std::string_view text) {
  int evaluated = 0;
  TRY(sum_of_digits(text, evaluated));
  return {};
}

Status check_twice(std::string_view text) {
  TRY(require_digits(text));
  TRY(require_digits(text));
  return {};
}

TEST(ResultTest, TryYieldsTheValue) {
  int evaluated = 0;
  const Result<int> sum = sum_of_digits("1234", evaluated);
  ASSERT_TRUE(sum.has_value());
  EXPECT_EQ(*sum, 10);
  EXPECT_EQ(evaluated, 4);
}

TEST(ResultTest, TryReturnsTheFirstErrorWithItsDetail) {
  int evaluated = 0;
  const Result<int> sum = sum_of_digits("12x4y", evaluated);
  ASSERT_FALSE(sum.has_value());
  EXPECT_EQ(sum.error().code(), ErrorCode::invalid_argument);
  EXPECT_EQ(sum.error().message(), "not a digit: x");
  EXPECT_EQ(evaluated, 2);
}

TEST(ResultTest, TryWorksOnAStatusAndPassesErrorsThroughSeveralLevels) {
  EXPECT_TRUE(check_twice("99").has_value());
  const Status status = check_twice("9-");
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message(), "not a digit: -");
}

Result<std::unique_ptr<int>> make_owner(int value) { return std::make_unique<int>(value); }

Result<int> read_owned(int value) {
  const std::unique_ptr<int> owner = TRY(make_owner(value));
  return *owner;
}

TEST(ResultTest, TryMovesAMoveOnlyValueOut) { EXPECT_EQ(read_owned(7).value_or(0), 7); }

TEST(ResultTest, FailCarriesAnExistingErrorUnchanged) {
  const Status status = fail(Error(ErrorCode::stale_block, "node 5").with_context("disk.img"));
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code(), ErrorCode::stale_block);
  EXPECT_EQ(status.error().message(), "disk.img: node 5");
}

}  // namespace
}  // namespace ashlar
