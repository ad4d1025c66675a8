// A report for people and for programs.
#pragma once

#include <string>

#include "fsck/command_line.h"
#include "fsck/finding.h"

namespace ashlar::fsck {

// A line a finding, then a line that sums up.
[[nodiscard]] std::string to_text(const Report& report, const CommandLine& line);
[[nodiscard]] std::string to_json(const Report& report, const std::string& device);
[[nodiscard]] int exit_status_of(const Report& report) noexcept;

}  // namespace ashlar::fsck
