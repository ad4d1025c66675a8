// What the mkfs.ashlarfs command does with its command line.
#pragma once

#include "fs/base/result.h"
#include "mkfs/command_line.h"

namespace ashlar::mkfs {

// Checks that nothing is lost without -f, makes the volume, prints its geometry to standard output unless told not to.
// The error's message is for people and names the device. Nothing has changed when a check failed.
[[nodiscard]] Status make_volume(const CommandLine& line);

}  // namespace ashlar::mkfs
