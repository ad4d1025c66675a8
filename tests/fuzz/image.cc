#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "fs/base/log.h"
#include "fsck/repair.h"
#include "tests/fsck/image_editor.h"
#include "tests/fsck/sample_volume.h"
#include "tests/fuzz/harness.h"

namespace ashlar::fuzz {
namespace {

using fsck::testing::ImageEditor;
using fsck::testing::NodePath;
using fsck::testing::SampleVolume;

constexpr int kMostEntries = 1000;  // looked at in one walk: a hostile tree may have any shape
constexpr int kMostDepth = 8;
constexpr std::size_t kSuperblockBytes = 464;

// What is changed is chosen by the first bytes; each four bytes after that are a place and its new value.
class Edits {
 public:
  explicit Edits(std::span<const std::uint8_t> input) : input_(input) {}

  [[nodiscard]] std::uint8_t byte() {
    if (input_.empty()) return 0;
    const std::uint8_t value = input_.front();
    input_ = input_.subspan(1);
    return value;
  }
  void apply(std::span<std::byte> bytes) {
    while (input_.size() >= 4 && !bytes.empty()) {
      const std::size_t place = (byte() | std::size_t{byte()} << 8) % bytes.size();
      const std::uint8_t how = byte();
      const std::uint8_t value = byte();
      // A whole number at once: lengths and block numbers that are near to what is allowed are found sooner.
      if (how % 4 == 0 && place + 8 <= bytes.size()) {
        std::uint64_t number = 0;
        std::memcpy(&number, &bytes[place], sizeof number);
        number += static_cast<std::uint64_t>(static_cast<std::int8_t>(value));
        std::memcpy(&bytes[place], &number, sizeof number);
      } else {
        bytes[place] = std::byte{value};
      }
    }
  }

 private:
  std::span<const std::uint8_t> input_;
};

void change(ImageEditor& image, Edits edits) {
  switch (edits.byte() % 8) {
    case 0: {
      // Its identity, version and features stay, which would only end it all early.
      auto bytes = std::as_writable_bytes(std::span(&image.superblock, 1)).first(kSuperblockBytes).subspan(144);
      edits.apply(bytes);
      image.write_superblock();
      break;
    }
    case 1: image.edit_table_block(0, [&](std::span<std::byte> block) { edits.apply(block.subspan(24)); }); break;
    case 2: {
      std::vector<std::byte> record(std::size_t{edits.byte()} * 4);
      const std::uint8_t operations = edits.byte();
      edits.apply(record);
      image.write_log_record(record, operations);
      break;
    }
    default: {
      const std::vector<NodePath> nodes = image.nodes();
      image.edit_node(nodes[edits.byte() % nodes.size()],
                      [&](std::span<std::byte> node) { edits.apply(node.subspan(40)); });
    }
  }
}

class Walker {
 public:
  explicit Walker(volume::testing::Rig& rig) : rig_(rig), buffer_(kReadBytes + (2U << 16)) {}

  void walk(InodeNumber directory, int depth) {
    std::vector<std::pair<std::string, InodeNumber>> entries;
    ignore(rig_.volume().read_directory(rig_.context(), directory, 0, false,
                                        [&](const volume::DirectoryEntry& entry, const volume::Attributes*) {
                                          if (entry.name != "." && entry.name != "..")
                                            entries.emplace_back(entry.name, entry.inode);
                                          return --left_ > 0;
                                        }));
    for (const auto& [name, inode] : entries) {
      const Result<volume::Attributes> found = rig_.volume().lookup(rig_.context(), directory, name);
      if (!found) continue;
      look_at(*found);
      if (S_ISDIR(found->mode) && depth < kMostDepth && left_ > 0) walk(found->inode, depth + 1);
      rig_.volume().forget(rig_.io(), found->inode, 1);
    }
  }

 private:
  static constexpr std::size_t kReadBytes = 64U << 10;

  template <typename Outcome>
  static void ignore(const Outcome& outcome) {
    static_cast<void>(outcome.has_value());
  }

  void look_at(const volume::Attributes& attributes) {
    volume::Volume& volume = rig_.volume();
    volume::Context& context = rig_.context();
    const InodeNumber inode = attributes.inode;
    ignore(volume.read(context, inode, 0, kReadBytes, buffer_.span()));
    ignore(volume.read(context, inode, attributes.size / 2, kReadBytes, buffer_.span()));
    ignore(volume.list_xattrs(context, inode));
    ignore(volume.get_xattr(context, inode, "user.large"));
    if (S_ISLNK(attributes.mode)) ignore(volume.read_symlink(context, inode));
    if (!S_ISREG(attributes.mode) || inode.value() % 3 != 0) return;
    const std::string data = volume::testing::pattern(5000, 1);
    ignore(volume.write(context, inode, attributes.size % 100'000, std::as_bytes(std::span(data)), false));
  }

  volume::testing::Rig& rig_;
  blockio::AlignedBuffer buffer_;
  int left_ = kMostEntries;
};

void use(SampleVolume& sample) {
  if (!sample.rig.try_mount()) return;
  Walker(sample.rig).walk(kRootInode, 0);
  volume::Volume& volume = sample.rig.volume();
  static_cast<void>(volume.unlink(sample.rig.context(), sample.directory, "sparse").has_value());
  static_cast<void>(volume.make_node(sample.rig.context(), sample.left, "new", {S_IFREG | 0600, 0}).has_value());
  static_cast<void>(volume.close(sample.rig.io()).has_value());
  sample.rig.crash();
}

void repair(SampleVolume& sample) {
  const auto io = sample.device().open_queue({});
  FUZZ_CHECK(io.has_value());
  fsck::CheckOptions options;
  options.heal = true;
  Result<fsck::Report> report = fsck::check_volume(sample.device(), **io, options);
  if (!report || report->takes(fsck::Repair::impossible)) return;
  if (!report->is_repaired()) {
    const Status repaired = fsck::repair_volume(sample.device(), **io, options, *report);
    FUZZ_CHECK(repaired || repaired.error().code() == ErrorCode::no_space);
    if (!repaired) return;
  }
  const Result<fsck::Report> after = fsck::check_volume(sample.device(), **io, {});
  FUZZ_CHECK(after.has_value());
  for (const fsck::Finding& finding : after->findings())
    static_cast<void>(std::fprintf(stderr, "%s", after->is_clean() ? "" : (finding.text + "\n").c_str()));
  FUZZ_CHECK(after->is_clean());
}

struct Base {
  SampleVolume sample;
  blockio::MemoryImage pristine = sample.device().snapshot();
};

void run(std::span<const std::uint8_t> input) {
  static Base* const base = [] {
    configure_log("fuzz", LogLevel::error, LogSink::standard_error);
    return new Base;  // for all runs; never destroyed
  }();
  SampleVolume& sample = base->sample;
  sample.device().restore(base->pristine);
  ImageEditor image(sample.device());
  change(image, Edits(input));
  const blockio::MemoryImage changed = sample.device().snapshot();
  repair(sample);
  use(sample);
  // Once more, with what the daemon made of it unrepaired.
  sample.device().restore(changed);
  use(sample);
  repair(sample);
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (std::uint8_t kind = 0; kind < 8; ++kind) {
    for (std::uint8_t node = 0; node < 20; node = static_cast<std::uint8_t>(node + 3))
      all.push_back({kind, node, 40, 0, 1, 255, 100, 0, 0, 1, 50, 2, 2, 128});
  }
  return all;
}

}  // namespace

const Harness kImageHarness = {"image", run, seeds};

}  // namespace ashlar::fuzz
