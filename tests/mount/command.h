// Running programs as a user would, with what they said kept for the test.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar::mount_test {

struct CommandResult {
  std::string command;  // for messages
  int exit_status = 0;  // 128 + N when killed by signal N; 127 when it could not be started
  bool timed_out = false;
  std::string output;  // standard output
  std::string errors;  // standard error
};

inline constexpr std::chrono::seconds kCommandDeadline{300};

// Runs argv[0] (looked up in PATH) to its end, with empty standard input. One that passes the deadline is killed.
// A daemon that it leaves behind may keep the outputs open; nothing waits for that.
[[nodiscard]] CommandResult run(const std::vector<std::string>& argv, std::chrono::seconds deadline = kCommandDeadline);

// For EXPECT_TRUE: whether it exited with 0; otherwise a message with everything it said.
[[nodiscard]] ::testing::AssertionResult succeeded(const CommandResult& result);

// For EXPECT_TRUE: exited on its own, not with 0, saying one line to standard error that contains all of `mentions`.
[[nodiscard]] ::testing::AssertionResult refused(const CommandResult& result, const std::vector<std::string>& mentions);

}  // namespace ashlar::mount_test
