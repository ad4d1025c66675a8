// What is to be repaired: as the options say, or as the user answers.
#pragma once

#include <atomic>

#include "fsck/check.h"
#include "fsck/command_line.h"

namespace ashlar::fsck {

struct Wishes {
  bool heal = false;          // write bad copies anew from the good ones
  std::set<FindingId> leave;  // but not of these kinds
  bool rebuild = false;       // all that is counted anew, given up or moved: one step, so a no to a part is a no to it
};

// Whether someone is there to ask.
[[nodiscard]] bool is_interactive(const CommandLine& line);

// Shows the findings kind by kind, and asks about each, in Mode::ask. There nobody to ask means no. `cancelled`: set by
// an interrupt, at any moment.
[[nodiscard]] Wishes wishes_about(const CommandLine& line, const Report& report, const std::atomic<bool>& cancelled);

// Whether the mark that a daemon left is to be taken away from a volume in which nothing is wrong.
[[nodiscard]] bool wants_mark_cleared(const CommandLine& line, const std::atomic<bool>& cancelled);

}  // namespace ashlar::fsck
