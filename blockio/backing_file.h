// The file behind a loop device. What is written through the device is written to the file, and neither the kernel's
// claim on the device nor a lock on its node keeps away who opens the file itself or attaches it a second time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace ashlar::blockio {

// The part of a file that a loop device or a partition of one is.
struct BackingPart {
  std::string path;          // as the kernel names it: it may be stale, or of another mount namespace
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;  // 0: to the end, wherever that will be
};

// nullopt for any other device.
[[nodiscard]] std::optional<BackingPart> backing_part_of(dev_t device);

// The file behind `device`, which has that part, open for nothing but a lock; the caller closes it. -1, which a line in
// the log tells, when it cannot be opened: deleted, of another mount namespace, forbidden. As long as `device` is open
// the kernel does not attach it elsewhere.
[[nodiscard]] int open_backing_file(int device, const BackingPart& part, bool writing);

}  // namespace ashlar::blockio
