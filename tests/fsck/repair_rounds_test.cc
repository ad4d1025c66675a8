// Repairs that may remember only very little at a time, and so take many rounds.
#include <gmock/gmock.h>

#include <random>

#include "blockio/recording_device.h"
#include "fsck/free_names.h"
#include "tests/crash/budget.h"
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/repairing.h"

namespace ashlar::fsck::testing {
namespace {

CheckOptions with_little_memory() {
  CheckOptions options = healing();
  options.most_records = 7;
  options.most_changes = 1;
  options.most_salvaged = 3;
  return options;
}

// They come in another order when the volume is read in turns.
std::multiset<std::string> sorted_texts_of(const Report& report) {
  std::multiset<std::string> texts;
  for (const Finding& finding : report.findings()) texts.insert(finding.text);
  return texts;
}

std::vector<DamageCase> repaired_cases() {
  return cases_repaired_by([](Repair repair) { return repair == Repair::rebuild || repair == Repair::recount; });
}

class LittleMemory : public ::testing::TestWithParam<std::size_t> {};

// It comes to the same as with enough.
TEST_P(LittleMemory, RepairsAllTheSame) {
  const DamageCase damage = repaired_cases()[GetParam()];
  DamagedVolume volume{damage.geometry};
  damage.damage(volume);
  const blockio::MemoryImage damaged = volume.device().snapshot();
  CheckOptions options = with_little_memory();
  options.search = damage.options.search;
  const Report report = repair(volume.device(), options);
  EXPECT_TRUE(report.is_repaired());
  expect_clean(volume.device());
  volume.expect_undamaged(damage.harmed);

  volume.device().restore(damaged);
  options = healing();
  options.search = damage.options.search;
  EXPECT_EQ(sorted_texts_of(report), sorted_texts_of(repair(volume.device(), options)));
}

INSTANTIATE_TEST_SUITE_P(Findings, LittleMemory, ::testing::Range(std::size_t{0}, repaired_cases().size()),
                         [](const auto& tested) {
                           return std::string(kind_of(repaired_cases()[tested.param].id).name);
                         });

// Far more than one finding of many kinds.
class MuchDamage : public ::testing::Test {
 protected:
  static constexpr std::size_t kOfEachKind = 12;

  MuchDamage() {
    volume.edit_items([&](ItemEditor& items) {
      std::vector<InodeNumber> files;
      for (const format::Key& key : items.keys_of(volume.right, format::ItemKind::dirent)) {
        const store::ItemValue value = items.get(key);
        format::DirentCursor cursor(value, format::DirentCursor::Names::any);
        const InodeNumber target = cursor.next()->inode;
        if (target == volume.file) continue;
        files.push_back(target);
        if (files.size() <= kOfEachKind) items.erase(key);  // unreachable
      }
      ASSERT_GT(files.size(), 3 * kOfEachKind);
      for (std::size_t i = 0; i < kOfEachKind; ++i) {
        items.edit_inode(files[2 * kOfEachKind + i], [](format::InodeItem& item) { item.links = 9; });
        items.edit_inode(files[kOfEachKind + i], [](format::InodeItem& item) { item.xattrs = 3; });
        items.add_name(volume.directory, "dangling " + std::to_string(i), InodeNumber{500'000 + i}, 8);
        items.add_name(volume.directory, "wrong type " + std::to_string(i), files[2 * kOfEachKind + i], 4);
        items.add_orphan(InodeNumber{600'000 + i}, format::OrphanReason::unlinked);
      }
      items.add_name(volume.right, "itself", volume.right, 4);
      items.remove_name(volume.directory, "left");
      items.add_name(volume.left, "a loop", volume.left, 4);
      items.edit_inode(volume.file, [](format::InodeItem& item) { item.blocks = 77; });
    });
    damaged = volume.device().snapshot();
  }

  // As many rounds as it takes without a look at the volume in between. How much each put off.
  std::vector<std::uint64_t> rounds(std::size_t most_changes) {
    const auto io = volume.device().open_queue({});
    EXPECT_TRUE(io);
    CheckOptions options = with_little_memory();
    options.most_changes = most_changes;
    std::vector<std::uint64_t> put_off;
    do {
      const Result<Rebuilt> rebuilt = rebuild_volume(volume.device(), **io, options);
      EXPECT_TRUE(rebuilt) << rebuilt.error().message();
      put_off.push_back(rebuilt ? rebuilt->put_off : 0);
      const bool marked_clean = is_marked_clean(volume.device(), **io).value_or(false);
      EXPECT_EQ(marked_clean, put_off.back() == 0) << "what is left has to be looked for";
      EXPECT_TRUE(put_off.back() == 0 || !check(volume.device()).is_clean());
    } while (put_off.back() != 0 && put_off.size() < 1000);
    return put_off;
  }

  // Only names and counts were damaged.
  void expect_all_there() {
    expect_clean(volume.device());
    volume.expect_undamaged({});
  }

  DamagedVolume volume;
  blockio::MemoryImage damaged{0};
};

TEST_F(MuchDamage, IsRepairedInRounds) {
  const Report before = check(volume.device());
  ASSERT_GT(before.total(), 5 * kOfEachKind);
  const Report report = repair(volume.device(), with_little_memory());
  EXPECT_TRUE(report.is_repaired());
  EXPECT_EQ(sorted_texts_of(report), sorted_texts_of(before)) << "each is told, and once";
  expect_all_there();
}

TEST_F(MuchDamage, EveryRoundPutsOffLess) {
  for (const std::size_t most : {std::size_t{1}, std::size_t{5}, std::size_t{1000}}) {
    SCOPED_TRACE(most);
    volume.device().restore(damaged);
    const std::vector<std::uint64_t> put_off = rounds(most);
    EXPECT_TRUE(std::is_sorted(put_off.rbegin(), put_off.rend()));
    EXPECT_EQ(std::adjacent_find(put_off.begin(), put_off.end()), put_off.end());
    EXPECT_EQ(put_off.size() == 1, most == 1000);
    expect_all_there();
  }
}

// In any round.
TEST_F(MuchDamage, PowerCut) {
  constexpr std::size_t kMoments = crash_test::kSanitized ? 5 : 40;
  blockio::RecordingDevice recording(volume.device().snapshot());
  CheckOptions options = with_little_memory();
  options.most_changes = 20;
  EXPECT_TRUE(repair(recording, options).is_repaired());
  std::mt19937_64 random(12);
  const std::size_t count = recording.event_count();
  for (std::size_t moment = 0; moment <= kMoments; ++moment) {
    const std::size_t events = count * moment / kMoments;
    SCOPED_TRACE(std::to_string(events) + " of " + std::to_string(count) + " events");
    volume.device().restore(recording.after_power_cut(events, &random));
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    expect_all_there();
  }
}

// By its user, after some of the rounds.
TEST_F(MuchDamage, IsEnded) {
  for (const unsigned most_calls : {3U, 40U, 200U}) {
    volume.device().restore(damaged);
    unsigned calls = 0;
    CheckOptions options = with_little_memory();
    options.progress = [&](Pass pass, double) { return pass != Pass::repair || calls++ < most_calls; };
    Report report = check(volume.device());
    const auto io = volume.device().open_queue({});
    const Status repaired = repair_volume(volume.device(), **io, options, report);
    ASSERT_FALSE(repaired);
    EXPECT_EQ(repaired.error().code(), ErrorCode::cancelled);
    EXPECT_TRUE(repair(volume.device()).is_repaired());
    expect_all_there();
  }
}

TEST(FreeNames, AreFoundBehindThoseThatAreThere) {
  FreeNames names;
  names.want("#5");
  names.want("#55");
  for (const std::string_view there : {"#5", "#5~~", "#6", "5", "#5~x", "~", ""}) names.note(there);
  EXPECT_EQ(names.choose("#5"), "#5~");
  EXPECT_EQ(names.choose("#55"), "#55");
  names.note("#5~");
  EXPECT_EQ(names.choose("#5"), "#5~~~");
  for (std::size_t behind = 0; behind <= 253; ++behind) names.note("#5" + std::string(behind, '~'));
  EXPECT_EQ(names.choose("#5"), "") << "they are too long to be names";
  names.forget_notes();
  EXPECT_EQ(names.choose("#5"), "#5");
}

// Of a name that another file has in lost+found already another is made.
TEST(FreeNames, InLostAndFound) {
  for (const bool is_there : {true, false}) {
    SCOPED_TRACE(is_there);
    DamagedVolume volume;
    volume.rig.mount();
    const std::string name = "#" + std::to_string(volume.small.value());
    const InodeNumber before = volume.rig.make_directory(kRootInode, is_there ? "lost+found" : "else");
    volume.rig.make_file(before, name);
    volume.rig.make_file(before, name + "~");
    if (!is_there) volume.rig.make_file(kRootInode, "lost+found");
    volume.rig.unmount();
    volume.edit_items([&](ItemEditor& items) { items.remove_name(volume.directory, "small"); });
    EXPECT_TRUE(repair(volume.device(), with_little_memory()).is_repaired());
    expect_clean(volume.device());
    volume.expect_undamaged(is_there ? Names{} : Names{"small"});
    volume.rig.mount();
    const InodeNumber lost_found = volume.rig.find(kRootInode, is_there ? "lost+found" : "lost+found~");
    EXPECT_EQ(volume.rig.find(lost_found, is_there ? name + "~~" : name), volume.small);
    volume.rig.unmount();
  }
}

}  // namespace
}  // namespace ashlar::fsck::testing
