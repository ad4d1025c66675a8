#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "fs/base/file_descriptor.h"
#include "fs/base/terminal_progress.h"

namespace ashlar {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

TEST(ProgressTextTest, BytesRateAndTimeLeft) {
  EXPECT_EQ(progress_text("scrub", {0.25, 256 * kMiB, 1024 * kMiB}, 2.0),
            "scrub: 25.0 %, 256 MiB of 1 GiB at 128 MiB/s, 0:06 left");
  EXPECT_EQ(progress_text("scrub", {0.5, 5 * kMiB, 10 * kMiB}, 3723.0),
            "scrub: 50.0 %, 5 MiB of 10 MiB at 1.37 KiB/s, 1:02:03 left");
}

TEST(ProgressTextTest, WhatIsNotKnownIsLeftOut) {
  EXPECT_EQ(progress_text("names", {0.5, 0, 0}, 10.0), "names: 50.0 %, 0:10 left");
  EXPECT_EQ(progress_text("names", {0, 0, 0}, 10.0), "names: 0.0 %");
  EXPECT_EQ(progress_text("tree", {0.0001, kMiB, 0}, 1.0), "tree: 0.0 %, 1 MiB at 1 MiB/s");
  EXPECT_EQ(progress_text("tree", {0.5, kMiB, 2 * kMiB}, 0.0), "tree: 50.0 %, 1 MiB of 2 MiB");
}

TEST(ProgressTextTest, MoreThanExpected) {
  EXPECT_EQ(progress_text("map", {1.5, 3 * kMiB, 2 * kMiB}, 1.0), "map: 100.0 %, 3 MiB of 3 MiB at 3 MiB/s, 0:00 left");
}

// Standard error is a terminal as long as this lives.
class Terminal {
 public:
  Terminal() : ours_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)), before_(dup(STDERR_FILENO)) {
    if (grantpt(ours_.get()) != 0 || unlockpt(ours_.get()) != 0) return;
    const FileDescriptor theirs(open(ptsname(ours_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    is_there_ = theirs.get() >= 0 && dup2(theirs.get(), STDERR_FILENO) >= 0;
  }
  ~Terminal() { dup2(before_.get(), STDERR_FILENO); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  [[nodiscard]] bool is_there() const { return is_there_; }
  // What was printed since.
  [[nodiscard]] std::string take() const {
    std::array<char, 4096> text{};
    fcntl(ours_.get(), F_SETFL, O_NONBLOCK);
    const ssize_t length = read(ours_.get(), text.data(), text.size());
    return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : std::string();
  }

 private:
  FileDescriptor ours_;
  FileDescriptor before_;
  bool is_there_ = false;
};

TEST(TerminalProgressTest, IsOneLineHoweverLong) {
  const Terminal terminal;
  if (!terminal.is_there()) GTEST_SKIP() << "no pseudo terminals here";
  std::string shown;
  std::string cleared;
  {
    TerminalProgress progress("first");
    progress.begin("second");
    progress.show(1, 2);
    shown = terminal.take();
    EXPECT_EQ(shown, "") << "of a moment";
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    progress.show({0.5, 0, 0});
    shown = terminal.take();
    progress.clear();
    cleared = terminal.take();
  }
  EXPECT_EQ(shown, "\r\033[K\033[?7lsecond: 50.0 %, 0:00 left\033[?7h");
  EXPECT_EQ(cleared, "\r\033[K");
  EXPECT_EQ(terminal.take(), "") << "there is nothing to take away any more";
}

}  // namespace
}  // namespace ashlar
