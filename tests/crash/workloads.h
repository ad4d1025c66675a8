// What programs do to a filesystem, each a few dozen operations long.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/crash/session.h"

namespace ashlar::crash_test {

struct Workload {
  std::string name;
  Geometry geometry;
  std::function<void(Session&)> run;
  bool may_lack_space = false;  // operations may be refused with no_space
};

[[nodiscard]] const std::vector<Workload>& workloads();

// One random operation among a few names, two directories deep.
void random_operation(Session& session);

}  // namespace ashlar::crash_test
