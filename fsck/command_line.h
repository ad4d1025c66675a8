// The options of fsck.ashlarfs, as fsck(8) and e2fsck(8) have them.
#pragma once

#include <cstdint>
#include <string>

namespace ashlar::fsck {

// fsck(8)'s exit status; they add up.
enum ExitStatus : int {
  kClean = 0,
  kCorrected = 1,
  kUncorrected = 4,
  kOperationalError = 8,
  kUsageError = 16,
  kCancelled = 32,
};

// What may be changed.
enum class Mode : std::uint8_t {
  ask,    // whatever the user says yes to; nothing without a terminal
  never,  // -n
  safe,   // -a, -p: what nothing can be lost by
  all,    // -y
};

struct CommandLine {
  bool run = false;
  std::string device;
  Mode mode = Mode::ask;
  bool force = false;  // -f
  bool verbose = false;
  bool data = false;
  bool search = false;
  bool json = false;
  int progress_descriptor = -1;  // -C: above 0; otherwise it is told on the terminal
  int exit_status = 0;           // when not to run
  std::string text;              // then, for people
};
[[nodiscard]] CommandLine parse_command_line(int count, char** arguments);

}  // namespace ashlar::fsck
