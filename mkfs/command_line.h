// mkfs.ashlarfs [options] DEVICE [SIZE]
#pragma once

#include <cstdint>
#include <optional>
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

// "65536", "16K", "4GiB", ...: bytes; suffixes are powers of 1024. nullopt when it is not a size or too large.
[[nodiscard]] std::optional<std::uint64_t> parse_size(const std::string& text);

}  // namespace ashlar::mkfs
