#include "fsck/rehash.h"

#include <cstring>
#include <utility>

#include "fs/format/items.h"

namespace ashlar::fsck {
namespace {

bool is_hashed(format::ItemKind kind) { return kind == format::ItemKind::dirent || kind == format::ItemKind::xattr; }

// The bytes of the entry that the cursor has just passed, as they are.
std::span<const std::byte> entry_bytes(std::span<const std::byte> value, std::size_t& offset, std::size_t length) {
  const std::span<const std::byte> bytes = value.subspan(offset, length);
  offset += length;
  return bytes;
}

}  // namespace

Rehash::Rehash(const std::uint8_t (&seed)[16], ItemVisitor sink) : sink_(std::move(sink)) {
  std::memcpy(seed_, seed, sizeof seed_);
}

Status Rehash::take(const format::Key& key, std::span<const std::byte> value) {
  if (!items_.empty() && (key.inode != owner_.inode || key.kind != owner_.kind)) TRY(finish());
  if (!is_hashed(key.kind)) return sink_(key, value);
  owner_ = key;
  collect(key, value);
  return {};
}

Status Rehash::finish() {
  const auto items = std::exchange(items_, {});
  for (const auto& [hash, value] : items) TRY(sink_({owner_.inode, owner_.kind, hash}, value));
  return {};
}

// What comes behind a malformed entry is not to be had.
void Rehash::collect(const format::Key& key, std::span<const std::byte> value) {
  std::size_t offset = 0;
  const auto put = [&](std::string_view name, std::size_t length) {
    std::vector<std::byte>& item = items_[format::hash_name(name, seed_)];
    const std::span<const std::byte> bytes = entry_bytes(value, offset, length);
    item.insert(item.end(), bytes.begin(), bytes.end());
  };
  if (key.kind == format::ItemKind::dirent) {
    format::DirentCursor cursor(value, format::DirentCursor::Names::any);
    while (const auto entry = cursor.next()) put(entry->name, sizeof(format::DirentEntry) + entry->name.size());
    return;
  }
  format::XattrCursor cursor(value);
  while (const auto xattr = cursor.next())
    put(xattr->name, sizeof(format::XattrEntry) + xattr->name.size() + xattr->value.size());
}

}  // namespace ashlar::fsck
