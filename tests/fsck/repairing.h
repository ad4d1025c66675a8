// Checks that heal, and repairs, as `fsck -y` makes them.
#pragma once

#include "fsck/repair.h"
#include "tests/fsck/sample_volume.h"

namespace ashlar::fsck::testing {

[[nodiscard]] CheckOptions healing();
// The report of the check before the repair, with what became of its findings.
[[nodiscard]] Report repair(blockio::BlockDevice& device, const CheckOptions& options = healing());
void expect_clean(blockio::BlockDevice& device);

}  // namespace ashlar::fsck::testing
