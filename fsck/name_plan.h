// Which names stay, where what has none goes, and what the counts are then.
#pragma once

#include <functional>

#include "fsck/directory_names.h"
#include "fsck/repair_plan.h"

namespace ashlar::fsck {

// How the planner reads the volume's items again.
struct PlanReaders {
  // The inodes and names of the context's window, as a repair keeps them, into the context.
  std::function<Status(CheckContext&)> window;
  // Every name in these directories, and perhaps others.
  std::function<Status(const std::set<std::uint64_t>& directories, const NameVisitor& visit)> names_in;
};

// `context` has the inodes and names of its first window, all directories, and all orphans; afterwards those of the
// last one.
[[nodiscard]] Status plan_names(CheckContext& context, RepairPlan& plan, const PlanReaders& readers);

}  // namespace ashlar::fsck
