#include "fs/base/thread.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ashlar {
namespace {

TEST(StartThread, RunsTheWork) {
  bool ran = false;
  Result<std::thread> thread = start_thread([&ran] { ran = true; });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_TRUE(ran);
}

TEST(StartThread, SaysSoWhenThereIsNoneToBeHad) {
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;  // root has no such limit
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0 || (geteuid() == 0 && setuid(kNobody) != 0)) _exit(2);
    const Result<std::thread> thread = start_thread([] {});
    _exit(!thread && thread.error().code() == ErrorCode::try_again ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ashlar
