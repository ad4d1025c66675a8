// Opening a file to look at how it lies.
#pragma once

#include <fcntl.h>

#include <cerrno>

namespace ashlar::ctl {

// As open(2). With O_NOATIME the kernel keeps what it has cached of the file, and reading through it, as nobody does,
// would not be noticed. Whoever may not ask for that may not do more either, which the daemon will say.
inline int open_unnoticed(const char* path) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const int fd = open(path, kFlags | O_NOATIME);
  return fd < 0 && errno == EPERM ? open(path, kFlags) : fd;
}

}  // namespace ashlar::ctl
