// How a subcommand of ashlarctl is added: one file each, one line in main.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "fs/base/result.h"

namespace ashlar::ctl {

// What the chosen subcommand does. The error's message is for people and names the device.
using Action = std::function<Status()>;

// Each adds itself to `app` and, when it is the one chosen, sets `action`, which outlives the parsing.
void add_info(CLI::App& app, Action& action);
void add_dump(CLI::App& app, Action& action);
void add_metadump(CLI::App& app, Action& action);
// `exit_status`: what to exit with, set by the action.
void add_scrub(CLI::App& app, Action& action, int& exit_status);
void add_stat(CLI::App& app, Action& action);

}  // namespace ashlar::ctl
