// A power cut at any moment leaves the state after some prefix of the operations, and that prefix holds all that was
// synced.
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>

#include <functional>
#include <map>
#include <random>

#include "blockio/recording_device.h"
#include "mkfs/format_volume.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

constexpr std::uint64_t kBytes = 16ULL << 20;

// Everything a user can see of a volume, by path.
using View = std::map<std::string, std::string>;

void look(Volume& volume, Context& context, InodeNumber directory, const std::string& path, View& view) {
  std::vector<std::pair<std::string, InodeNumber>> entries;
  const Status listed =
      volume.read_directory(context, directory, 0, false, [&](const DirectoryEntry& entry, const Attributes*) {
        if (entry.name != "." && entry.name != "..") entries.emplace_back(entry.name, entry.inode);
        return true;
      });
  if (!listed) view[path] = "unreadable";
  for (const auto& [name, number] : entries) {
    const std::string here = path + "/" + name;
    const auto attributes = volume.attributes(context, number);
    if (!attributes) {
      view[here] = attributes.error().message();
      continue;
    }
    std::string& seen = view[here];
    seen = std::to_string(attributes->mode) + " " + std::to_string(attributes->links) + " " +
           std::to_string(attributes->size) + " ";
    if (S_ISDIR(attributes->mode)) {
      look(volume, context, number, here, view);
    } else if (S_ISREG(attributes->mode)) {
      blockio::AlignedBuffer buffer(attributes->size + 2 * 4096);
      const auto read = volume.read(context, number, 0, attributes->size, buffer.span());
      seen += read ? std::string(reinterpret_cast<const char*>(read->data()), read->size()) : read.error().message();
    }
    seen += volume.get_xattr(context, number, "user.x").value_or("");
  }
}

View view_of(Volume& volume, Context& context) {
  View view;
  look(volume, context, kRootInode, "", view);
  return view;
}

blockio::MemoryImage formatted() {
  blockio::MemoryDevice device(kBytes);
  const auto io = *device.open_queue({});
  mkfs::FormatOptions options;
  options.block_size = 4096;
  options.node_size = 4096;
  EXPECT_TRUE(mkfs::format_volume(device, *io, options));
  return device.snapshot();
}

class PowerCuts : public ::testing::TestWithParam<unsigned> {
 protected:
  struct Moment {
    std::size_t events = 0;  // of the device when the operation had returned
    View view;
    bool synced = false;
  };

  void run();
  void operate(Volume& volume, Context& context);
  void check(std::size_t events, const blockio::MemoryImage& image);

  blockio::RecordingDevice device{formatted()};
  std::mt19937_64 random{GetParam()};
  std::vector<Moment> moments;
  std::uint64_t below(std::uint64_t limit) { return random() % limit; }
};

void PowerCuts::operate(Volume& volume, Context& context) {
  const std::string name = "n" + std::to_string(below(5));
  const std::string other = "n" + std::to_string(below(5));
  const auto found = volume.lookup(context, kRootInode, name);
  const InodeNumber inode = found ? found->inode : kNoInode;
  switch (below(9)) {
    case 0:
    case 1: {
      const std::uint32_t type = below(4) == 0 ? S_IFDIR | 0755 : S_IFREG | 0644;
      const auto made = volume.make_node(context, kRootInode, name, {type, 0});
      if (made) volume.forget(context.io, made->inode, 1);
      break;
    }
    case 2: static_cast<void>(volume.unlink(context, kRootInode, name)); break;
    case 3: static_cast<void>(volume.rename(context, kRootInode, name, kRootInode, other, 0)); break;
    case 4:
    case 5: {
      const std::string data = pattern(1 + below(below(2) == 0 ? 500 : 30'000), static_cast<unsigned>(random()));
      if (found) static_cast<void>(volume.write(context, inode, below(20'000), std::as_bytes(std::span(data)), false));
      break;
    }
    case 6: {
      AttributeChange change;
      change.fields = AttributeChange::size_field;
      change.size = below(30'000);
      if (found) static_cast<void>(volume.set_attributes(context, inode, change));
      break;
    }
    case 7: {
      const int mode = below(2) == 0 ? FALLOC_FL_KEEP_SIZE : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
      if (found) static_cast<void>(volume.allocate(context, inode, mode, below(20'000), 1 + below(20'000)));
      break;
    }
    default: {
      const std::string value = pattern(1 + below(3000), static_cast<unsigned>(random()));
      if (found) static_cast<void>(volume.set_xattr(context, inode, "user.x", std::as_bytes(std::span(value)), 0));
    }
  }
  if (found) volume.forget(context.io, inode, 1);
}

void PowerCuts::run() {
  constexpr int kOperations = 70;
  const auto io = *device.open_queue({});
  Context context{*io, {1'000'000, 0}, 0, 0};
  auto volume = Volume::open(device, *io, Rig::quiet_options());
  ASSERT_TRUE(volume) << volume.error().message();
  moments.push_back({0, {}, true});
  moments.push_back({device.event_count(), view_of(**volume, context), true});
  for (int i = 0; i < kOperations; ++i) {
    operate(**volume, context);
    bool synced = false;
    if (below(6) == 0) synced = (*volume)->sync_all(context).has_value();
    if (below(15) == 0) synced = (*volume)->store().checkpoint(*io).has_value();
    moments.push_back({device.event_count(), view_of(**volume, context), synced});
  }
}

void PowerCuts::check(std::size_t events, const blockio::MemoryImage& image) {
  blockio::MemoryDevice after(image);
  const auto io = *after.open_queue({});
  Context context{*io, {1'000'000, 0}, 0, 0};
  auto volume = Volume::open(after, *io, Rig::quiet_options());
  ASSERT_TRUE(volume) << volume.error().message();
  const View view = view_of(**volume, context);
  // From the newest backwards, no further than what was synced when the power went.
  bool matches = false;
  for (std::size_t i = moments.size(); i-- > 0 && !matches;) {
    const bool begun =
        i == 0 || moments[i - 1].events <= events;  // a sync under way may have made all before it durable
    if (begun) matches = moments[i].view == view;
    if (moments[i].synced && moments[i].events <= events) break;
  }
  EXPECT_TRUE(matches) << "no prefix of the operations";
  EXPECT_TRUE((*volume)->close(*io));
}

TEST_P(PowerCuts, LeaveAPrefix) {
  ASSERT_NO_FATAL_FAILURE(run());
  std::mt19937_64 tear(GetParam() + 1);
  const std::size_t end = device.event_count();
  for (std::size_t events = 0; events <= end && !HasFailure(); ++events) {
    SCOPED_TRACE("after " + std::to_string(events) + " events");
    ASSERT_NO_FATAL_FAILURE(check(events, device.after_power_cut(events)));
    ASSERT_NO_FATAL_FAILURE(check(events, device.after_power_cut(events, &tear))) << "torn";
    if (events == end || device.event(events).kind != blockio::OpKind::write_durable) continue;
    // A durable write under way when the power went: it may have arrived, and what it was to make durable with it may
    // not.
    const blockio::RecordedEvent arriving = device.event(events);
    for (int i = 0; i < 4; ++i) {
      blockio::MemoryImage image = device.after_power_cut(events, &tear);
      image.write(arriving.offset, arriving.data);
      ASSERT_NO_FATAL_FAILURE(check(events, image)) << "with a durable write under way";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PowerCuts, ::testing::Range(1U, 7U));

}  // namespace
}  // namespace ashlar::volume::testing
