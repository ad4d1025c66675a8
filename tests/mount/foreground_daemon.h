// The daemon as a child of the test, so that its limits can be changed and its end be seen.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace ashlar::mount_test {

class ForegroundDaemon {
 public:
  // Runs `ashlarfs -f -o OPTIONS DEVICE MOUNT_POINT`; what it says goes to `log`. `prepare` runs in the child first.
  ForegroundDaemon(const std::string& options, const std::string& device, const std::filesystem::path& mount_point,
                   std::filesystem::path log, const std::function<void()>& prepare = {});
  ~ForegroundDaemon();  // kills it, and takes the mount down
  ForegroundDaemon(const ForegroundDaemon&) = delete;
  ForegroundDaemon& operator=(const ForegroundDaemon&) = delete;

  // Whether it serves the mount, or has ended, within some seconds.
  [[nodiscard]] bool wait_until_mounted();
  // Its exit status (128 + N when killed by signal N); -1 when it lives on.
  [[nodiscard]] int wait_until_ended();
  void signal(int number) const;
  // From now on every write to an image file that reaches past `bytes` fails with EFBIG, or no longer does.
  void forbid_writing(bool forbidden, std::uint64_t bytes = 0) const;
  [[nodiscard]] std::string said() const;

 private:
  std::filesystem::path mount_point_;
  std::filesystem::path log_;
  pid_t child_ = -1;
  int exit_status_ = -1;
};

}  // namespace ashlar::mount_test
