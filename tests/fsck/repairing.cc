#include "tests/fsck/repairing.h"

namespace ashlar::fsck::testing {

CheckOptions healing() {
  CheckOptions options;
  options.heal = true;
  return options;
}

Report repair(blockio::BlockDevice& device, const CheckOptions& options) {
  const auto io = device.open_queue({});
  EXPECT_TRUE(io);
  Report report = check(device, options);
  if (report.is_repaired()) return report;
  const Status repaired = repair_volume(device, **io, options, report);
  EXPECT_TRUE(repaired) << repaired.error().message();
  return report;
}

void expect_clean(blockio::BlockDevice& device) {
  const Report report = check(device);
  EXPECT_TRUE(report.is_clean()) << report.findings().front().text;
}

}  // namespace ashlar::fsck::testing
