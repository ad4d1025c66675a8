#include <algorithm>
#include <cstring>

#include "fs/format/items.h"
#include "fs/format/node.h"
#include "tests/fsck/image_editor.h"
#include "tests/fsck/sample_volume.h"
#include "tests/fuzz/harness.h"

namespace ashlar::fuzz {
namespace {

constexpr std::size_t kNodeSize = 4096;
constexpr std::uint8_t kUuid[16] = {1};
constexpr std::uint64_t kBlocks = 1U << 20;

void visit_value(const format::Key& key, std::span<const std::byte> value) {
  switch (key.kind) {
    case format::ItemKind::inode: static_cast<void>(format::parse_inode(value).has_value()); break;
    case format::ItemKind::dirent: {
      std::size_t bytes = 0;
      for (format::DirentCursor cursor(value); const auto entry = cursor.next();) {
        FUZZ_CHECK(format::is_dirent_name(entry->name));
        bytes += sizeof(format::DirentEntry) + entry->name.size();
      }
      FUZZ_CHECK(bytes <= value.size());
      break;
    }
    case format::ItemKind::xattr: {
      std::size_t bytes = 0;
      for (format::XattrCursor cursor(value); const auto entry = cursor.next();)
        bytes += sizeof(format::XattrEntry) + entry->name.size() + entry->value.size();
      FUZZ_CHECK(bytes <= value.size());
      break;
    }
    case format::ItemKind::extent: {
      const Result<format::Extent> extent = format::parse_extent(key, value, kBlocks);
      if (!extent) break;
      FUZZ_CHECK(extent->count != 0 && extent->physical.value() + extent->count <= kBlocks);
      FUZZ_CHECK(extent->end() > extent->file_block);
      break;
    }
    case format::ItemKind::orphan: static_cast<void>(format::parse_orphan(value).has_value()); break;
    default: break;
  }
}

void run(std::span<const std::uint8_t> input) {
  std::vector<std::byte> node(kNodeSize);
  const std::span<const std::byte> bytes = std::as_bytes(input.first(std::min(input.size(), node.size())));
  std::copy(bytes.begin(), bytes.end(), node.begin());
  auto& header = *reinterpret_cast<format::NodeHeader*>(node.data());
  header.magic = format::kNodeMagic;
  std::memcpy(header.uuid, kUuid, sizeof kUuid);
  format::seal_node(node);
  if (!format::validate_node(node, kUuid, nullptr)) return;
  std::optional<format::Key> previous;
  const auto ascends = [&previous](const format::Key& key) {
    FUZZ_CHECK(!previous || *previous < key);
    previous = key;
  };
  if (header.level != 0) {
    for (const format::InternalEntry& entry : format::internal_entries(node)) ascends(format::key_of(entry));
    return;
  }
  for (const format::LeafItem& item : format::leaf_items(node)) {
    ascends(format::key_of(item));
    visit_value(format::key_of(item), format::value_of(node, item));
  }
}

std::vector<Bytes> seeds() {
  fsck::testing::SampleVolume sample;
  fsck::testing::ImageEditor image(sample.device());
  std::vector<Bytes> all;
  for (const fsck::testing::NodePath& path : image.nodes()) {
    const std::vector<std::byte> node = image.read_node(image.pointer_to(path));
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(node.data());
    all.emplace_back(begin, begin + node.size());
  }
  return all;
}

}  // namespace

const Harness kNodeHarness = {"node", run, seeds};

}  // namespace ashlar::fuzz
