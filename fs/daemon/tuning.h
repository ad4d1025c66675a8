// What the daemon asks of the kernel for itself and its mount. All of it helps and none of it is needed, so refusals
// are only debug lines.
#pragma once

#include <string>

namespace ashlar::daemon {

// Large pieces of memory go back to the system when they are freed. Left alone, the allocator soon takes them from the
// heap of whichever thread asks, and each of those keeps the most that it ever had.
void give_back_large_memory();

// The kernel may wait for this process to clean its pages: allocations here must not wait for that in turn, and memory
// pressure must not pick it.
void protect_from_reclaim();

// Read-ahead and dirty limits of the mount with this backing device (its name in /sys/class/bdi).
void tune_backing_device(const std::string& bdi_name);

}  // namespace ashlar::daemon
