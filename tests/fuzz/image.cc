#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

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
constexpr std::size_t kMostChanges = 8;  // structures in one input
constexpr std::size_t kMostEdits = 64;   // in one structure
constexpr std::size_t kSuperblockBytes = 464;
constexpr std::size_t kMostRecords = 6;
// The device goes on behind the volume, filled with this, which nothing may ever change.
constexpr std::uint64_t kSpareBytes = 1U << 20;
constexpr std::byte kSpareFill{0x77};
// Small, for speed; the first has several groups.
constexpr std::array<volume::testing::Geometry, 3> kGeometries = {{
    {16U << 20, 512, 2048, kSpareBytes},
    {16U << 20, 4096, 4096, kSpareBytes},
    {16U << 20, 4096, 16384, kSpareBytes},
}};

// A place in a structure and what becomes of it.
struct Edit {
  std::size_t place = 0;
  std::uint8_t how = 0;
  std::uint8_t value = 0;
};
using Edits = std::vector<Edit>;

void change(const Edits& edits, std::span<std::byte> bytes) {
  for (const Edit& edit : edits) {
    if (bytes.empty()) return;
    const std::size_t place = edit.place % bytes.size();
    // A whole number at once: lengths and block numbers that are near to what is allowed are found sooner.
    if (edit.how % 4 == 0 && place + 8 <= bytes.size()) {
      std::uint64_t number = 0;
      std::memcpy(&number, &bytes[place], sizeof number);
      number += static_cast<std::uint64_t>(static_cast<std::int8_t>(edit.value));
      std::memcpy(&bytes[place], &number, sizeof number);
    } else {
      bytes[place] = std::byte{edit.value};
    }
  }
}

// An input: what geometry and how much memory, then changes, each of them a kind, which structure of that kind, how
// many edits, and those, four bytes each. All is read before anything is changed, as a change may hide what another one
// is about.
class Changes {
 public:
  Changes(std::span<const std::uint8_t> input, ImageEditor& image) : input_(input) {
    const std::vector<NodePath> all_nodes = image.nodes();
    for (std::size_t i = 0; i < kMostChanges && !input_.empty(); ++i) {
      const std::uint8_t kind = byte();
      const std::uint8_t which = byte();
      const Edits edits = read_edits();
      switch (kind % 8) {
        case 0: append(superblock_, edits); break;
        case 1: append(tables_[which % image.layout().group_table_blocks()], edits); break;
        case 2:
          if (log_.size() < kMostRecords) log_.push_back(record(which, edits));
          break;
        case 3: append(bitmaps_[which % image.layout().group_count()], edits); break;
        default: append(nodes_[all_nodes[which % all_nodes.size()]], edits);
      }
    }
  }

  void make(ImageEditor& image) const {
    std::map<NodePath, fsck::testing::EditBytes> nodes;
    for (const auto& [path, edits] : nodes_) {
      nodes[path] = [&edits = edits](std::span<std::byte> node) { change(edits, node.subspan(40)); };
    }
    image.edit_nodes(nodes);
    for (const auto& [group, edits] : bitmaps_)
      image.edit_bitmap(group, [&edits = edits](std::span<std::byte> bitmap) { change(edits, bitmap); });
    for (const auto& [index, edits] : tables_)
      image.edit_table_block(index, [&edits = edits](std::span<std::byte> block) { change(edits, block.subspan(24)); });
    // In two chunks, so that there are records of both kinds: those that must prove themselves and those before.
    const std::size_t half = log_.size() / 2;
    if (half != 0) image.write_log(std::span(log_).first(half));
    if (!log_.empty()) image.write_log(std::span(log_).subspan(half));
    // Its identity, version, features and size stay, which would only end it all early.
    change(superblock_, std::as_writable_bytes(std::span(&image.superblock, 1)).first(kSuperblockBytes).subspan(136));
    image.write_superblock();
  }

 private:
  [[nodiscard]] std::uint8_t byte() {
    if (input_.empty()) return 0;
    const std::uint8_t value = input_.front();
    input_ = input_.subspan(1);
    return value;
  }
  [[nodiscard]] Edits read_edits() {
    Edits edits(byte() % kMostEdits);
    for (Edit& edit : edits) {
      edit.place = byte();
      edit.place |= std::size_t{byte()} << 8;
      edit.how = byte();
      edit.value = byte();
    }
    return edits;
  }
  // Zeros with edits in them; its length comes from them, too.
  [[nodiscard]] static ImageEditor::LogRecord record(std::uint8_t operations, const Edits& edits) {
    ImageEditor::LogRecord record;
    record.bytes.resize(edits.size() * 28);
    record.operations = operations;
    change(edits, record.bytes);
    return record;
  }
  static void append(Edits& to, const Edits& more) { to.insert(to.end(), more.begin(), more.end()); }

  std::span<const std::uint8_t> input_;
  std::map<NodePath, Edits> nodes_;
  std::map<std::uint32_t, Edits> bitmaps_;
  std::map<std::uint32_t, Edits> tables_;
  std::vector<ImageEditor::LogRecord> log_;
  Edits superblock_;
};

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

// What fsck may remember at a time: as usual, or so little that it reads and repairs in many turns.
fsck::CheckOptions options_of(std::uint8_t choice) {
  fsck::CheckOptions options;
  if (choice / kGeometries.size() % 2 == 0) return options;
  options.most_records = 40;
  options.most_changes = 2;
  options.most_salvaged = 10;
  return options;
}

void repair(SampleVolume& sample, fsck::CheckOptions options) {
  const auto io = sample.device().open_queue({});
  FUZZ_CHECK(io.has_value());
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
  explicit Base(const volume::testing::Geometry& geometry) : sample(geometry) {
    pristine = sample.device().snapshot();
    pristine.write(geometry.bytes, spare);
  }

  // Compared by a library function: what looks at single bytes is slow where libFuzzer counts its steps.
  void expect_spare_untouched() {
    const blockio::MemoryImage now = sample.device().snapshot();
    now.read(now.size() - kSpareBytes, spare_now);
    FUZZ_CHECK(std::memcmp(spare_now.data(), spare.data(), kSpareBytes) == 0);
  }

  SampleVolume sample;
  blockio::MemoryImage pristine{0};
  const std::vector<std::byte> spare = std::vector<std::byte>(kSpareBytes, kSpareFill);
  std::vector<std::byte> spare_now = std::vector<std::byte>(kSpareBytes);
};

Base& base_of(std::uint8_t choice) {
  static std::array<Base*, kGeometries.size()> bases = {};  // for all runs; never destroyed
  Base*& base = bases[choice % bases.size()];
  if (base == nullptr) {
    configure_log("fuzz", LogLevel::error, LogSink::standard_error);
    base = new Base(kGeometries[choice % bases.size()]);
  }
  return *base;
}

void run(std::span<const std::uint8_t> input) {
  if (input.empty()) return;
  Base& base = base_of(input.front());
  const fsck::CheckOptions options = options_of(input.front());
  SampleVolume& sample = base.sample;
  sample.device().restore(base.pristine);
  ImageEditor image(sample.device());
  Changes(input.subspan(1), image).make(image);
  const blockio::MemoryImage changed = sample.device().snapshot();
  repair(sample, options);
  use(sample);
  base.expect_spare_untouched();
  // Once more, with what the daemon made of it unrepaired.
  sample.device().restore(changed);
  use(sample);
  repair(sample, options);
  base.expect_spare_untouched();
}

// Each kind of structure in each geometry, every other with little memory, one input for two of them.
std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (std::size_t geometry = 0; geometry < kGeometries.size(); ++geometry) {
    for (std::uint8_t kind = 0; kind < 8; ++kind) {
      const std::uint8_t which = kind * 5;
      const auto choice = static_cast<std::uint8_t>(geometry + (kind + geometry) % 2 * kGeometries.size());
      all.push_back({choice, kind, which, 3, 40, 0, 1, 255, 100, 0, 0, 1, 50, 2, 2, 128, 4, which, 1, 8, 0, 0, 1});
    }
  }
  return all;
}

}  // namespace

const Harness kImageHarness = {"image", run, seeds};

}  // namespace ashlar::fuzz
