#include "tests/fsck/repairing.h"

#include "tests/crash/budget.h"

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

std::vector<DamageCase> cases_repaired_by(const std::function<bool(Repair)>& is_wanted) {
  constexpr std::size_t kStride = crash_test::kSanitized ? 4 : 1;
  std::vector<DamageCase> found;
  std::size_t index = 0;
  for (const std::vector<DamageCase>& some : {structure_cases(), item_cases()}) {
    for (const DamageCase& damage : some) {
      if (is_wanted(kind_of(damage.id).repair) && index++ % kStride == 0) found.push_back(damage);
    }
  }
  return found;
}

}  // namespace ashlar::fsck::testing
