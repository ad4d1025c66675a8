#include "fs/base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace ashlar {
namespace {

class LogTest : public ::testing::Test {
 protected:
  // The sink writes to the C stream, which gtest captures.
  template <typename Action>
  static std::string captured(LogLevel level, Action action) {
    testing::internal::CaptureStderr();
    configure_log("tester", level, LogSink::standard_error);
    action();
    return testing::internal::GetCapturedStderr();
  }

  void TearDown() override { configure_log("", LogLevel::warning, LogSink::standard_error); }
};

TEST_F(LogTest, PrefixesEachLineWithTheIdentity) {
  EXPECT_EQ(captured(LogLevel::info, [] { log(LogLevel::error, "{} is {}", "disk.img", 3); }),
            "tester: disk.img is 3\n");
}

TEST_F(LogTest, DropsWhatIsBelowTheLevel) {
  const std::string text = captured(LogLevel::warning, [] {
    log(LogLevel::debug, "one");
    log(LogLevel::info, "two");
    log(LogLevel::warning, "three");
    log(LogLevel::error, "four");
  });
  EXPECT_EQ(text, "tester: three\ntester: four\n");
}

TEST_F(LogTest, TextFromOutsideIsNotAFormat) {
  EXPECT_EQ(captured(LogLevel::info, [] { log_line(LogLevel::error, "100% {} of %s"); }), "tester: 100% {} of %s\n");
}

TEST_F(LogTest, LinesOfSeveralThreadsStayWhole) {
  constexpr int kThreads = 4;
  constexpr int kLines = 100;
  const std::string text = captured(LogLevel::info, [] {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < kLines; ++i) log(LogLevel::info, "thread {} line {}.", t, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), kThreads * kLines);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.starts_with("tester: thread ")) << line;
    EXPECT_TRUE(line.ends_with(".")) << line;
  }
}

}  // namespace
}  // namespace ashlar
