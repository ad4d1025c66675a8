// Every finding there is: an image that brings it, and nothing else but what the same damage must bring as well.
#include <gmock/gmock.h>

#include <algorithm>

#include "fsck/repair.h"
#include "tests/crash/budget.h"
#include "tests/fsck/damaged_volume.h"

namespace ashlar::fsck::testing {
namespace {

std::vector<DamageCase> all_cases() {
  std::vector<DamageCase> all = structure_cases();
  std::vector<DamageCase> items = item_cases();
  std::move(items.begin(), items.end(), std::back_inserter(all));
  return all;
}

Names expected_of(const DamageCase& damage) {
  Names expected = damage.consequences;
  expected.emplace(kind_of(damage.id).name);
  return expected;
}

std::string describe(const Report& report) {
  std::string text;
  for (const Finding& finding : report.findings()) {
    if (text.size() > 2000) return text + "...";
    text += finding.text + "\n";
  }
  return text;
}

class Damage : public ::testing::TestWithParam<std::size_t> {
 protected:
  DamageCase damage = all_cases()[GetParam()];
  DamagedVolume volume{damage.geometry};
};

// The same images once more, some of them where a sanitizer makes it slow.
class DamageAgain : public Damage {};
constexpr std::size_t kStride = crash_test::kSanitized ? 4 : 1;

std::string name_of_case(const ::testing::TestParamInfo<std::size_t>& info) {
  return std::string(kind_of(all_cases()[info.param].id).name);
}

TEST_P(Damage, IsFound) {
  damage.damage(volume);
  const Report report = check(volume.device(), damage.options);
  EXPECT_EQ(names_of(report), expected_of(damage)) << describe(report);
  EXPECT_FALSE(report.is_repaired() && !report.is_clean());
}

// With so little memory that the names are looked at in many turns.
TEST_P(DamageAgain, IsFoundInTurns) {
  damage.damage(volume);
  CheckOptions options = damage.options;
  options.most_records = 7;
  const Report report = check(volume.device(), options);
  EXPECT_EQ(names_of(report), expected_of(damage)) << describe(report);
  EXPECT_EQ(report.total(), check(volume.device(), damage.options).total());
}

// On the first pass, and the second is clean; what the damage does not touch is as it was.
TEST_P(Damage, IsRepaired) {
  damage.damage(volume);
  const auto io = volume.device().open_queue({});
  ASSERT_TRUE(io);
  CheckOptions options = damage.options;
  options.heal = true;
  Report report = check(volume.device(), options);
  if (report.takes(Repair::impossible)) {
    EXPECT_EQ(names_of(report), expected_of(damage));
    return;
  }
  if (report.takes(Repair::recount) || report.takes(Repair::rebuild)) {
    const Status repaired = repair_volume(volume.device(), **io, options, report);
    ASSERT_TRUE(repaired) << repaired.error().message();
  }
  EXPECT_TRUE(report.is_repaired()) << describe(report);
  const Report second = check(volume.device(), damage.options);
  EXPECT_TRUE(second.is_clean()) << describe(second);
  volume.expect_undamaged(damage.harmed);
}

TEST_P(DamageAgain, IsNotChangedByACheck) {
  damage.damage(volume);
  const blockio::MemoryImage before = volume.device().snapshot();
  static_cast<void>(check(volume.device(), damage.options));
  const blockio::MemoryImage after = volume.device().snapshot();
  std::vector<std::byte> left(1U << 20);
  std::vector<std::byte> right(left.size());
  for (std::uint64_t offset = 0; offset < before.size(); offset += left.size()) {
    before.read(offset, left);
    after.read(offset, right);
    ASSERT_EQ(left, right) << offset;
  }
}

INSTANTIATE_TEST_SUITE_P(Findings, Damage, ::testing::Range(std::size_t{0}, all_cases().size()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Findings, DamageAgain, ::testing::Range(std::size_t{0}, all_cases().size(), kStride),
                         name_of_case);

TEST(Findings, AllHaveAnImage) {
  std::vector<FindingId> shown;
  for (const DamageCase& damage : all_cases()) shown.push_back(damage.id);
  const std::vector<FindingId> known = {
#define FINDING(id, name, severity, repair, about, message, question) FindingId::name,
#include "fsck/findings.def"
#undef FINDING
  };
  // That one is told by repairs alone: Repair.WhatIsLostForGoodIsSaid.
  shown.push_back(FindingId::contents_given_up);
  // That one takes a device that fails: LogData.UnreadableItCountsWhenTheRestIsThere.
  shown.push_back(FindingId::log_data_unreadable);
  std::sort(shown.begin(), shown.end());
  EXPECT_EQ(shown, known);
}

}  // namespace
}  // namespace ashlar::fsck::testing
