// Checks that heal, and repairs, as `fsck -y` makes them.
#pragma once

#include <functional>
#include <vector>

#include "fsck/repair.h"
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/sample_volume.h"

namespace ashlar::fsck::testing {

[[nodiscard]] CheckOptions healing();
// The report of the check before the repair, with what became of its findings.
[[nodiscard]] Report repair(blockio::BlockDevice& device, const CheckOptions& options = healing());
void expect_clean(blockio::BlockDevice& device);
// The damage whose repair is one of those wanted: all that there is; some where a sanitizer makes it slow.
[[nodiscard]] std::vector<DamageCase> cases_repaired_by(const std::function<bool(Repair)>& is_wanted);

}  // namespace ashlar::fsck::testing
