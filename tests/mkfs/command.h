// Runs a program and keeps what it says.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace ashlar::testing {

struct CommandResult {
  int status = -1;     // of exit(); -1 when it did not exit
  std::string output;  // standard output and error
};

// `command` is for the shell.
inline CommandResult run_command(const std::string& command) {
  CommandResult result;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 4096> buffer;
  for (std::size_t got = 0; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    result.output.append(buffer.data(), got);
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

inline bool has_command(const std::string& name) { return run_command("command -v " + name).status == 0; }

}  // namespace ashlar::testing
