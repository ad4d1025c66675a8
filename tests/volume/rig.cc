#include "tests/volume/rig.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "blockio/aligned_buffer.h"
#include "fs/format/items.h"
#include "mkfs/format_volume.h"

namespace ashlar::volume::testing {
namespace {

template <typename T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message();
    return T{};
  }
  return *std::move(result);
}

void must(Status status) {
  if (!status) ADD_FAILURE() << status.error().message();
}

// What a walk over all items of a volume found.
struct Census {
  struct Count {
    format::InodeItem item{};
    std::uint64_t blocks = 0;
    std::uint64_t names_in_it = 0;
    std::uint64_t directories_in_it = 0;
    std::uint64_t xattrs = 0;
    std::map<std::uint64_t, std::uint64_t> values_named;  // that lie apart: their sizes
    std::map<std::uint64_t, std::uint64_t> values_there;
    std::uint64_t extents_end = 0;
    std::size_t inline_size = 0;
    bool has_inline = false;
    std::vector<std::uint64_t> named_in;
    std::vector<std::uint8_t> named_types;
    bool orphan = false;
    bool exists = false;
  };
  std::map<std::uint64_t, Count> inodes;
  std::set<std::uint64_t> blocks;
  std::uint64_t shared_blocks = 0;
  std::vector<std::string> malformed;

  void count(const format::Key& key, std::span<const std::byte> value, std::uint64_t block_count);
};

void Census::count(const format::Key& key, std::span<const std::byte> value, std::uint64_t block_count) {
  using format::ItemKind;
  Count& inode = inodes[key.inode.value()];
  switch (key.kind) {
    case ItemKind::inode: {
      const auto item = format::parse_inode(value);
      if (!item) return malformed.push_back(item.error().message());
      inode.item = *item;
      inode.exists = true;
      return;
    }
    case ItemKind::dirent: {
      format::DirentCursor cursor(value);
      while (const auto entry = cursor.next()) {
        ++inode.names_in_it;
        if (entry->type == S_IFDIR >> 12) ++inode.directories_in_it;
        inodes[entry->inode.value()].named_in.push_back(key.inode.value());
        inodes[entry->inode.value()].named_types.push_back(entry->type);
      }
      if (cursor.malformed()) malformed.emplace_back("dirent");
      return;
    }
    case ItemKind::xattr: {
      format::XattrCursor cursor(value);
      while (const auto xattr = cursor.next()) {
        ++inode.xattrs;
        if (!xattr->value_id) continue;
        if (!inode.values_named.emplace(*xattr->value_id, xattr->value_size).second) malformed.emplace_back("value id");
      }
      if (cursor.malformed()) malformed.emplace_back("xattr");
      return;
    }
    case ItemKind::xattr_value: inode.values_there[key.offset >> format::kXattrPartBits] += value.size(); return;
    case ItemKind::extent: {
      const auto extent = format::parse_extent(key, value, block_count);
      if (!extent) return malformed.push_back(extent.error().message());
      if (extent->file_block < inode.extents_end) malformed.emplace_back("extents overlap");
      inode.extents_end = extent->end();
      inode.blocks += extent->count;
      for (std::uint64_t i = 0; i < extent->count; ++i) {
        if (!blocks.insert(extent->physical.value() + i).second) ++shared_blocks;
      }
      return;
    }
    case ItemKind::inline_data:
      inode.has_inline = true;
      inode.inline_size = value.size();
      return;
    case ItemKind::orphan: inodes[key.offset].orphan = true; return;
    default: return;
  }
}

void check_inode(std::uint64_t number, const Census::Count& inode) {
  SCOPED_TRACE("inode " + std::to_string(number));
  ASSERT_TRUE(inode.exists);
  const bool directory = S_ISDIR(inode.item.mode);
  EXPECT_EQ(inode.item.blocks, inode.blocks);
  EXPECT_EQ(inode.item.entries, inode.names_in_it);
  EXPECT_EQ(inode.item.xattrs, inode.xattrs);
  EXPECT_EQ(inode.values_there, inode.values_named);
  if (inode.has_inline) {
    EXPECT_EQ(inode.inline_size, inode.item.size);
    EXPECT_EQ(inode.blocks, 0U);
  }
  for (const std::uint8_t type : inode.named_types) EXPECT_EQ(type, inode.item.mode >> 12);
  EXPECT_EQ(inode.orphan, inode.item.links == 0);
  const std::size_t names = inode.named_in.size();
  if (!directory) {
    EXPECT_EQ(inode.item.links, names);
    EXPECT_EQ(inode.item.parent, 0U);
  } else if (number == kRootInode.value()) {
    EXPECT_EQ(inode.item.links, 2 + inode.directories_in_it);
    EXPECT_EQ(inode.item.parent, number);
  } else if (inode.item.links != 0) {
    EXPECT_EQ(inode.item.links, 2 + inode.directories_in_it);
    ASSERT_EQ(names, 1U);
    EXPECT_EQ(inode.item.parent, inode.named_in[0]);
  } else {
    EXPECT_EQ(names, 0U);
  }
}

}  // namespace

::testing::AssertionResult same(std::string_view actual, std::string_view expected) {
  if (actual == expected) return ::testing::AssertionSuccess();
  const auto differ = std::mismatch(actual.begin(), actual.end(), expected.begin(), expected.end());
  return ::testing::AssertionFailure() << actual.size() << " bytes for " << expected.size() << ", different from byte "
                                       << differ.first - actual.begin();
}

VolumeOptions Rig::quiet_options() {
  VolumeOptions options;
  options.store.background = false;
  return options;
}

Rig::Rig(const Geometry& geometry, VolumeOptions options)
    : geometry_(geometry),
      options_(std::move(options)),
      device_(geometry.bytes + geometry.spare),
      io_(must(device_.open_queue({}))),
      context_{*io_} {
  mkfs::FormatOptions format;
  format.volume_bytes = geometry.bytes;
  format.block_size = geometry.block_size;
  format.node_size = geometry.node_size;
  const auto formatted = mkfs::format_volume(device_, *io_, format);
  if (!formatted) ADD_FAILURE() << formatted.error().message();
  context_.now = {1'000'000, 42};
  context_.uid = 1000;
  context_.gid = 100;
  mount();
}

void Rig::mount() { volume_ = must(Volume::open(device_, *io_, options_)); }

bool Rig::try_mount() {
  auto opened = Volume::open(device_, *io_, options_);
  if (!opened) return false;
  volume_ = *std::move(opened);
  return true;
}

void Rig::unmount() {
  must(volume_->close(*io_));
  volume_.reset();
}

void Rig::crash() { volume_.reset(); }

std::unique_ptr<blockio::IoQueue> Rig::new_queue() { return must(device_.open_queue({})); }

InodeNumber Rig::make_file(InodeNumber parent, std::string_view name, std::uint32_t permissions) {
  const InodeNumber inode = must(volume_->make_node(context_, parent, name, {S_IFREG | permissions, 0})).inode;
  forget(inode);
  return inode;
}

InodeNumber Rig::make_directory(InodeNumber parent, std::string_view name, std::uint32_t permissions) {
  const InodeNumber inode = must(volume_->make_node(context_, parent, name, {S_IFDIR | permissions, 0})).inode;
  forget(inode);
  return inode;
}

InodeNumber Rig::hold(InodeNumber parent, std::string_view name) {
  return must(volume_->lookup(context_, parent, name)).inode;
}

InodeNumber Rig::find(InodeNumber parent, std::string_view name) {
  const InodeNumber inode = hold(parent, name);
  forget(inode);
  return inode;
}

void Rig::write(InodeNumber inode, std::uint64_t offset, std::string_view data) {
  must(volume_->write(context_, inode, offset, std::as_bytes(std::span(data)), false));
}

void Rig::truncate(InodeNumber inode, std::uint64_t size) {
  AttributeChange change;
  change.fields = AttributeChange::size_field;
  change.size = size;
  must(volume_->set_attributes(context_, inode, change));
}

Result<std::string> Rig::try_read(InodeNumber inode, std::uint64_t offset, std::size_t length) {
  blockio::AlignedBuffer buffer(length + 2 * geometry_.block_size);
  const auto bytes = TRY(volume_->read(context_, inode, offset, length, buffer.span()));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string Rig::read(InodeNumber inode, std::uint64_t offset, std::size_t length) {
  return must(try_read(inode, offset, length));
}

Attributes Rig::stat(InodeNumber inode) { return must(volume_->attributes(context_, inode)); }

std::vector<Listed> Rig::list(InodeNumber directory) {
  std::vector<Listed> listed;
  must(volume_->read_directory(context_, directory, 0, false, [&](const DirectoryEntry& entry, const Attributes*) {
    listed.push_back({std::string(entry.name), entry.inode.value(), entry.type, entry.position});
    return true;
  }));
  return listed;
}

std::vector<std::string> Rig::names(InodeNumber directory) {
  std::vector<std::string> names;
  for (const Listed& entry : list(directory)) {
    if (entry.name != "." && entry.name != "..") names.push_back(entry.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::uint64_t Rig::free_blocks() {
  // Twice: the first gives back what the tree itself then no longer uses.
  must(volume_->store().checkpoint(*io_));
  must(volume_->store().checkpoint(*io_));
  return volume_->space().free;
}

void Rig::check() {
  Census census;
  const std::uint64_t block_count = volume_->store().layout().block_count();
  must(volume_->store().scan(*io_, format::kLowestKey, format::kHighestKey,
                             [&](const format::Key& key, std::span<const std::byte> value) {
                               census.count(key, value, block_count);
                               return true;
                             }));
  EXPECT_TRUE(census.malformed.empty()) << census.malformed.front();
  EXPECT_EQ(census.shared_blocks, 0U);
  census.inodes.erase(0);  // the owner of the orphan items
  for (const auto& [number, inode] : census.inodes) check_inode(number, inode);
}

}  // namespace ashlar::volume::testing
