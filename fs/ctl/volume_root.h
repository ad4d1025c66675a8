// The root directory of a mounted volume, where its daemon is asked by ioctl.
#pragma once

#include <string>
#include <string_view>

#include "fs/base/file_descriptor.h"
#include "fs/base/result.h"

namespace ashlar::ctl {

// What a daemon's refusals mean to who gave the command.
struct RefusalWords {
  std::string_view command;        // of ashlarctl
  std::string_view not_permitted;  // who may
  std::string_view not_known;      // what a daemon that does not know the ioctl is like
};

class VolumeRoot {
 public:
  [[nodiscard]] static Result<VolumeRoot> open(const std::string& mount_point, const RefusalWords& words);

  // 0 or an errno.
  [[nodiscard]] int ask(unsigned long command, void* argument) const noexcept;
  [[nodiscard]] int descriptor() const noexcept { return directory_.get(); }

  // One line that names the mount point and the command, and says what the errno means there; `so_far`, if anything,
  // goes with the command.
  [[nodiscard]] tl::unexpected<Error> refused(int error, std::string_view so_far = {}) const;
  // The same with a reason of its own.
  [[nodiscard]] tl::unexpected<Error> refused(int error, std::string_view so_far, std::string_view why) const;

 private:
  VolumeRoot(std::string mount_point, const RefusalWords& words, int descriptor)
      : mount_point_(std::move(mount_point)), words_(words), directory_(descriptor) {}

  std::string mount_point_;
  RefusalWords words_;
  FileDescriptor directory_;
};

}  // namespace ashlar::ctl
