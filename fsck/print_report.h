// A report for people and for programs.
#pragma once

#include <string>

#include "fsck/command_line.h"
#include "fsck/finding.h"

namespace ashlar::fsck {

// A line for each finding of an id. Paths are shown with what is no printable ASCII as \ooo.
[[nodiscard]] std::string findings_to_text(const Report& report, const CommandLine& line, FindingId id);
// A line a finding in the order in which they were made, then a line that sums up.
[[nodiscard]] std::string to_text(const Report& report, const CommandLine& line);
[[nodiscard]] std::string summary_to_text(const Report& report, const CommandLine& line);
[[nodiscard]] std::string to_json(const Report& report, const std::string& device);
// Of a volume that is marked clean and was not looked at.
[[nodiscard]] std::string skipped_to_text(const CommandLine& line);
[[nodiscard]] std::string skipped_to_json(const std::string& device);
[[nodiscard]] int exit_status_of(const Report& report) noexcept;

}  // namespace ashlar::fsck
