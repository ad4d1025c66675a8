#include "fs/base/fair_shared_mutex.h"

#include <gtest/gtest.h>

#include <shared_mutex>
#include <thread>

namespace ashlar {
namespace {

TEST(FairSharedMutex, ReadersShareIt) {
  FairSharedMutex mutex;
  const std::shared_lock one(mutex);
  ASSERT_TRUE(mutex.try_lock_shared());
  mutex.unlock_shared();
}

// With std::shared_mutex of glibc readers would get in for ever, and this would not end.
TEST(FairSharedMutex, NoReaderOvertakesAWaitingWriter) {
  FairSharedMutex mutex;
  bool written = false;  // guarded by mutex
  mutex.lock_shared();
  std::thread writer([&] {
    const std::unique_lock lock(mutex);
    written = true;
  });
  while (mutex.try_lock_shared()) {
    mutex.unlock_shared();
    std::this_thread::yield();
  }
  std::thread reader([&] {
    const std::shared_lock lock(mutex);
    EXPECT_TRUE(written);
  });
  EXPECT_FALSE(written);
  mutex.unlock_shared();
  writer.join();
  reader.join();
}

}  // namespace
}  // namespace ashlar
