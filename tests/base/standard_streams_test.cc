#include "fs/base/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ashlar {
namespace {

// The exit status of a process that does it.
template <typename Action>
int status_of(Action action) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) _exit(action());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

TEST(StandardStreams, WhatIsClosedIsOccupied) {
  constexpr int kAllSets = 8;
  for (int set = 0; set < kAllSets; ++set) {
    const int status = status_of([set] {
      struct stat before[3]{};
      for (int stream = 0; stream < 3; ++stream) {
        fstat(stream, &before[stream]);
        if ((set >> stream & 1) != 0) close(stream);
      }
      if (!occupy_standard_streams()) return 1;
      for (int stream = 0; stream < 3; ++stream) {
        struct stat now {};
        if (fstat(stream, &now) != 0) return 2;
        const bool is_same = now.st_rdev == before[stream].st_rdev && now.st_ino == before[stream].st_ino;
        if ((set >> stream & 1) == 0 && !is_same) return 3;
        if ((set >> stream & 1) != 0 && !S_ISCHR(now.st_mode)) return 4;
      }
      return open("/dev/null", O_RDONLY | O_CLOEXEC) > STDERR_FILENO ? 0 : 5;
    });
    EXPECT_EQ(status, 0) << "closed: " << set;
  }
}

TEST(StandardStreams, NothingElseIsOpened) {
  EXPECT_EQ(status_of([] {
              const int next = dup(STDERR_FILENO);
              close(next);
              return occupy_standard_streams() && !is_open(next) ? 0 : 1;
            }),
            0);
}

TEST(StandardStreams, WhatArrivesChangesNoStatus) {
  EXPECT_EQ(status_of([] {
              print("{} of {}\n", 1, 2);
              return finish_output("tester", 4, 8);
            }),
            4);
}

TEST(StandardStreams, WhatIsLostIsAdded) {
  EXPECT_EQ(status_of([] {
              const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
              dup2(full, STDOUT_FILENO);
              for (int i = 0; i < 100'000; ++i) print("line {}\n", i);
              if (output_arrived()) return 1;
              // What cannot be written anywhere must not matter either.
              dup2(full, STDERR_FILENO);
              return finish_output("tester", 4, 8);
            }),
            12);
}

}  // namespace
}  // namespace ashlar
