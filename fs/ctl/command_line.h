// ashlarctl COMMAND ...
#pragma once

#include <functional>
#include <variant>

#include "fs/base/result.h"

namespace ashlar::ctl {

// Runs the chosen command with its options. Sets `exit_status`, 0 before, if that is not to be 0, or 1 after an error.
using Action = std::function<Status(int& exit_status)>;

// What to do, or the exit status when --help, --version or a mistake (reported on standard error) left nothing to do.
[[nodiscard]] std::variant<Action, int> parse_command_line(int argc, const char* const* argv);

}  // namespace ashlar::ctl
