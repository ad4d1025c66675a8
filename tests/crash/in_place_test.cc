// Files without copy-on-write: what lies past their end on the device never shows, whatever a crash undid.
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <algorithm>
#include <functional>
#include <string>

#include "blockio/aligned_buffer.h"
#include "tests/crash/budget.h"
#include "tests/crash/crash_states.h"
#include "tests/crash/session.h"

namespace ashlar::crash_test {
namespace {

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kGrown = 5 * kBlock + 77;

// Ways to make a file longer of which nothing is written between its end and `kGrown`.
constexpr unsigned kWays = 4;
Status grow(volume::Volume& volume, volume::Context& context, InodeNumber file, unsigned way) {
  switch (way % kWays) {
    case 0: {
      volume::AttributeChange change;
      change.fields = volume::AttributeChange::size_field;
      change.size = kGrown;
      TRY(volume.set_attributes(context, file, change));
      return {};
    }
    case 1: return volume.write(context, file, kGrown, std::as_bytes(std::span("x", 1)), false);
    case 2: return volume.allocate(context, file, 0, kGrown - 1, 1);
    default: return volume.allocate(context, file, FALLOC_FL_ZERO_RANGE, kGrown - 10, 10);
  }
}

std::string contents_of(volume::Volume& volume, volume::Context& context, InodeNumber file) {
  const auto attributes = volume.attributes(context, file);
  if (!attributes) return "unreadable";
  blockio::AlignedBuffer buffer(static_cast<std::size_t>(attributes->size + 2 * kBlock));
  const auto read =
      volume.read(context, file, 0, static_cast<std::size_t>(std::min(attributes->size, kGrown)), buffer.span());
  return read ? std::string(reinterpret_cast<const char*>(read->data()), read->size()) : read.error().message();
}

// What a state shows, and what the file has where it was made longer.
void check_state(const blockio::MemoryImage& image, unsigned way) {
  blockio::MemoryDevice after(image);
  const auto io = after.open_queue({});
  volume::Context context{**io, {2'000'000, 0}, 0, 0};
  auto volume = volume::Volume::open(after, **io, quiet_options());
  ASSERT_TRUE(volume) << volume.error().message();
  const auto found = (*volume)->lookup(context, kRootInode, "f");
  if (!found) return;
  const std::string before = contents_of(**volume, context, found->inode);
  if (before.size() >= kGrown) return;
  ASSERT_TRUE(grow(**volume, context, found->inode, way));
  const std::string grown = contents_of(**volume, context, found->inode);
  ASSERT_EQ(grown.size(), kGrown);
  EXPECT_EQ(grown.substr(0, before.size()), before);
  const std::size_t stale = grown.find_first_not_of('\0', before.size());
  EXPECT_EQ(stale, std::string::npos) << "the file ended at " << before.size() << ", and something lies at " << stale;
  (*volume)->forget(**io, found->inode, 1);
}

void run(const std::function<void(Session&)>& operations) {
  const blockio::MemoryImage image = formatted({});
  blockio::RecordingDevice device(image);
  Session::Options options;
  options.look = false;
  options.events = [&device] { return device.event_count(); };
  Session session(device, std::move(options));
  ASSERT_TRUE(session.open());
  ASSERT_TRUE(session.create("f"));
  ASSERT_TRUE(session.set_flags("f", FS_NOCOW_FL));
  operations(session);
  ASSERT_TRUE(session.failures().empty()) << session.failures().front().first;
  unsigned states = 0;
  CrashStates all(device, first_seed());
  all.enumerate(
      3, [](const CrashState&) { return true; },
      [&states](const CrashState& state) {
        SCOPED_TRACE(state.description);
        check_state(*state.image, states++);
        return !::testing::Test::HasFailure();
      });
  EXPECT_GT(states, 20U);
  // The process died, the device has all that it was sent.
  for (unsigned way = 0; way < kWays; ++way) check_state(device.contents(), way);
}

TEST(InPlaceTest, AnAppendThatACrashUndidDoesNotShow) {
  run([](Session& s) {
    s.write("f", 0, 5000);
    s.sync("f");
    s.write("f", 5000, 1000);
    s.write("f", 7000, 1000);
  });
}

TEST(InPlaceTest, WritesIntoWhatWasNotYetThereDoNotShow) {
  run([](Session& s) {
    s.write("f", 0, 5000);
    s.sync("f");
    s.truncate("f", 2 * kBlock);
    s.write("f", 6000, 500);
    s.write("f", 2 * kBlock, 100);
    s.sync("f");
    s.truncate("f", 2 * kBlock + 50);
    s.truncate("f", 3 * kBlock);
    s.write("f", 2 * kBlock + 60, 200);
  });
}

TEST(InPlaceTest, WhatIsCutOffDoesNotShow) {
  run([](Session& s) {
    s.write("f", 0, 3 * kBlock);
    s.sync("f");
    s.truncate("f", 5000);
    s.commit();
    s.write("f", 5500, 20);
    s.truncate("f", 4500);
    s.sync("f");
    s.append("f", 300);
  });
}

}  // namespace
}  // namespace ashlar::crash_test
