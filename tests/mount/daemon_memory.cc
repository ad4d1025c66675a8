#include "tests/mount/daemon_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

namespace ashlar::mount_test {
namespace {

// Whether a process of /proc is the daemon: its first argument the program, another the device.
bool serves(const std::filesystem::path& process, const std::string& device) {
  std::ifstream file(process / "cmdline", std::ios::binary);
  const std::string arguments(std::istreambuf_iterator<char>(file), {});
  const std::string_view program = std::string_view(arguments).substr(0, arguments.find('\0'));
  return program.ends_with("/ashlarfs") && arguments.find('\0' + device + '\0') != std::string::npos;
}

std::uint64_t peak_of(const std::filesystem::path& process) {
  std::ifstream file(process / "status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(line.find_first_of("0123456789"))) << 10U;
  }
  return 0;
}

}  // namespace

std::uint64_t peak_daemon_memory(const std::string& device) {
  std::uint64_t most = 0;
  std::error_code ignored;  // processes come and go
  for (const auto& process : std::filesystem::directory_iterator("/proc", ignored)) {
    if (serves(process.path(), device)) most = std::max(most, peak_of(process.path()));
  }
  return most;
}

}  // namespace ashlar::mount_test
