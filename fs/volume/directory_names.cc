#include "fs/volume/directory_names.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <cstring>
#include <utility>

#include "fs/format/node.h"

namespace ashlar::volume {
namespace {

constexpr std::size_t kMostNamesOfAnOperation = 4;

tl::unexpected<Error> malformed(InodeNumber directory) {
  return fail(ErrorCode::corrupt_structure, fmt::format("directory {}: malformed entry", directory.value()));
}

void append_entry(store::ItemValue& value, std::string_view name, const NamedInode& what) {
  format::DirentEntry entry{};
  entry.inode = what.inode.value();
  entry.name_length = static_cast<std::uint16_t>(name.size());
  entry.type = what.type;
  const auto head = std::as_bytes(std::span(&entry, 1));
  const auto text = std::as_bytes(std::span(name));
  value.insert(value.end(), head.begin(), head.end());
  value.insert(value.end(), text.begin(), text.end());
}

}  // namespace

Status check_name(std::string_view name) {
  if (name.empty()) return fail(ErrorCode::not_found);
  if (name.size() > format::kMaxNameLength) return fail(ErrorCode::name_too_long);
  if (name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument);
  }
  return {};
}

bool is_dot_or_dot_dot(std::string_view name) noexcept { return name == "." || name == ".."; }

std::uint8_t entry_type(std::uint32_t mode) noexcept {
  constexpr unsigned kTypeShift = 12;
  return static_cast<std::uint8_t>((mode & S_IFMT) >> kTypeShift);
}

Result<std::optional<NamedInode>> find_name(VolumeState& volume, blockio::IoQueue& io, InodeNumber directory,
                                            std::string_view name) {
  store::ItemValue value;
  const format::Key key{directory, format::ItemKind::dirent, volume.hash(name)};
  if (!TRY(volume.store->get(io, key, value))) return std::nullopt;
  format::DirentCursor cursor(value);
  while (const auto entry = cursor.next()) {
    if (entry->name == name) return NamedInode{entry->inode, entry->type};
  }
  if (cursor.malformed()) return malformed(directory);
  return std::nullopt;
}

Result<bool> has_no_names(VolumeState& volume, blockio::IoQueue& io, InodeNumber directory) {
  format::Key found;
  store::ItemValue value;
  return !TRY(volume.store->floor(io, {directory, format::ItemKind::dirent, 0},
                                  {directory, format::ItemKind::dirent, ~0ULL}, found, value));
}

Result<NameChanges::EditedItem*> NameChanges::item_of(InodeNumber directory, std::string_view name) {
  const format::Key key{directory, format::ItemKind::dirent, volume_.hash(name)};
  for (EditedItem& item : items_) {
    if (item.key == key) return &item;
  }
  EditedItem item;
  item.key = key;
  item.existed = TRY(volume_.store->get(io_, key, item.value));
  items_.reserve(kMostNamesOfAnOperation);
  items_.push_back(std::move(item));
  return &items_.back();
}

Result<std::optional<NameChanges::Place>> NameChanges::find_place(const EditedItem& item, std::string_view name) {
  format::DirentCursor cursor(item.value);
  std::size_t offset = 0;
  while (const auto entry = cursor.next()) {
    const std::size_t size = sizeof(format::DirentEntry) + entry->name.size();
    if (entry->name == name) return Place{offset, size};
    offset += size;
  }
  if (cursor.malformed()) return malformed(item.key.inode);
  return std::nullopt;
}

Status NameChanges::add(InodeNumber directory, std::string_view name, const NamedInode& what) {
  EditedItem* const item = TRY(item_of(directory, name));
  if (TRY(find_place(*item, name))) return fail(ErrorCode::already_exists);
  const std::size_t size = item->value.size() + sizeof(format::DirentEntry) + name.size();
  if (size > format::max_value_size(volume_.node_size)) return fail(ErrorCode::no_space, "too many names share a hash");
  append_entry(item->value, name, what);
  return {};
}

Status NameChanges::remove(InodeNumber directory, std::string_view name) {
  EditedItem* const item = TRY(item_of(directory, name));
  const auto place = TRY(find_place(*item, name));
  if (!place) return fail(ErrorCode::not_found);
  const auto begin = item->value.begin() + static_cast<std::ptrdiff_t>(place->offset);
  item->value.erase(begin, begin + static_cast<std::ptrdiff_t>(place->size));
  return {};
}

Status NameChanges::replace(InodeNumber directory, std::string_view name, const NamedInode& what) {
  EditedItem* const item = TRY(item_of(directory, name));
  const auto place = TRY(find_place(*item, name));
  if (!place) return fail(ErrorCode::not_found);
  format::DirentEntry entry{};
  std::byte* const at = item->value.data() + place->offset;
  std::memcpy(&entry, at, sizeof entry);
  entry.inode = what.inode.value();
  entry.type = what.type;
  std::memcpy(at, &entry, sizeof entry);
  return {};
}

void NameChanges::stage(store::Transaction& transaction) const {
  for (const EditedItem& item : items_) {
    if (!item.value.empty()) {
      transaction.put(item.key, item.value);
    } else if (item.existed) {
      transaction.erase(item.key);
    }
  }
}

}  // namespace ashlar::volume
