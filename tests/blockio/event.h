// A descriptor to watch.
#pragma once

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace ashlar::blockio::testing {

// Readable from the beginning when `count` is not 0; else never.
class Event {
 public:
  explicit Event(unsigned count) : descriptor_(eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EXPECT_GE(descriptor_, 0);
  }
  ~Event() { ::close(descriptor_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace ashlar::blockio::testing
