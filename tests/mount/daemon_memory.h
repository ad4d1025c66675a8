// What the daemon of a mount takes of memory.
#pragma once

#include <cstdint>
#include <string>

namespace ashlar::mount_test {

// The most that the daemon which serves `device` ever held in memory (VmHWM of proc(5)), in bytes; 0 when there is
// none.
[[nodiscard]] std::uint64_t peak_daemon_memory(const std::string& device);

}  // namespace ashlar::mount_test
