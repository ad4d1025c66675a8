// mkfs.ashlarfs [options] DEVICE [SIZE]
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "mkfs/format_volume.h"

namespace ashlar::mkfs {

struct CommandLine {
  std::string device;
  FormatOptions format;  // volume_bytes: SIZE, or 0
  bool quiet = false;
  bool dry_run = false;
  bool force = false;
};

// What to do, or the exit status when --help, --version or a mistake (reported on standard error) left nothing to do.
[[nodiscard]] std::variant<CommandLine, int> parse_command_line(int argc, const char* const* argv);

}  // namespace ashlar::mkfs
