// A loop device over a file.
#pragma once

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

namespace ashlar::blockio::testing {

// Detached by detach() or at the end. Needs root; without a path() it could not be had.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& image, std::uint32_t sector = 512, std::uint32_t flags = LO_FLAGS_DIRECT_IO) {
    const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const int backing = ::open(image.c_str(), O_RDWR | O_CLOEXEC);
    // Another process may take the free one first.
    for (int attempt = 0; attempt < 20 && path_.empty() && control >= 0 && backing >= 0; ++attempt) {
      const int number = ioctl(control, LOOP_CTL_GET_FREE);
      const std::string path = fmt::format("/dev/loop{}", number);
      const int descriptor = number < 0 ? -1 : ::open(path.c_str(), O_RDWR | O_CLOEXEC);
      loop_config config{};
      config.fd = static_cast<unsigned>(backing);
      config.block_size = sector;
      config.info.lo_flags = flags;
      if (descriptor >= 0 && ioctl(descriptor, LOOP_CONFIGURE, &config) == 0) {
        path_ = path;
        descriptor_ = descriptor;
      } else if (descriptor >= 0) {
        ::close(descriptor);
      }
    }
    if (path_.empty()) problem_ = std::strerror(errno);
    ::close(backing);
    ::close(control);
  }
  ~LoopDevice() { detach(); }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  // While somebody else has it open the kernel detaches it when they close it.
  void detach() {
    if (descriptor_ < 0) return;
    EXPECT_EQ(ioctl(descriptor_, LOOP_CLR_FD), 0) << std::strerror(errno);
    ::close(descriptor_);
    descriptor_ = -1;
  }
  // Takes in the new size of the file.
  void resize() { EXPECT_EQ(ioctl(descriptor_, LOOP_SET_CAPACITY), 0) << std::strerror(errno); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  // In /sys.
  [[nodiscard]] std::string directory() const { return "/sys/block" + path_.substr(std::strlen("/dev")); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  std::string path_;
  std::string problem_;
  int descriptor_ = -1;
};

}  // namespace ashlar::blockio::testing
