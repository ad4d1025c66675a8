#include "fs/ctl/name_scrambler.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace ashlar::ctl {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz012345";
constexpr std::string_view kUserPrefix = "user.";
constexpr std::string_view kLostFound = "lost+found";
// A leaf of a directory of a million names takes some thousands; short names run out of letters.
constexpr int kMostTries = 200'000;

std::span<char> chars(std::span<std::byte> bytes) { return {reinterpret_cast<char*>(bytes.data()), bytes.size()}; }
std::string_view text(std::span<const char> letters) { return {letters.data(), letters.size()}; }

void write_over(std::span<std::byte> bytes, char with) {
  std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>(with));
}

// A name in an item: where its letters are, and what follows it there.
struct Place {
  std::span<std::byte> name;
  std::span<std::byte> value;  // of an attribute
};

// The names in the value of a dirent or xattr item, as far as it is sound.
std::vector<Place> places_in(std::span<std::byte> value, format::ItemKind kind) {
  std::vector<Place> places;
  const auto within = [&value](const char* data, std::size_t size) {
    return value.subspan(static_cast<std::size_t>(reinterpret_cast<const std::byte*>(data) - value.data()), size);
  };
  if (kind == format::ItemKind::dirent) {
    format::DirentCursor cursor(value, format::DirentCursor::Names::any);
    while (const auto entry = cursor.next()) places.push_back({within(entry->name.data(), entry->name.size()), {}});
  } else {
    format::XattrCursor cursor(value);
    while (const auto entry = cursor.next()) {
      const std::span<std::byte> name = within(entry->name.data(), entry->name.size());
      const auto behind = static_cast<std::size_t>(name.data() - value.data()) + name.size();
      places.push_back({name, value.subspan(behind, entry->value.size())});
    }
  }
  return places;
}

}  // namespace

NameScrambler::NameScrambler(const std::uint8_t (&hash_seed)[16]) : random_(std::random_device{}()) {
  std::memcpy(seed_, hash_seed, sizeof seed_);
}

void NameScrambler::fill(std::span<char> letters) {
  for (char& letter : letters) letter = kLetters[random_() % kLetters.size()];
}

std::optional<std::uint64_t> NameScrambler::rename(std::span<char> name, std::size_t kept_prefix, const Bounds& bounds,
                                                   std::span<const std::uint64_t> taken) {
  const std::string before(text(name));
  for (int tries = 0; tries < kMostTries; ++tries) {
    fill(name.subspan(kept_prefix));
    const std::uint64_t hash = format::hash_name(text(name), seed_);
    if (hash < bounds.first || hash > bounds.last || std::find(taken.begin(), taken.end(), hash) != taken.end())
      continue;
    return hash;
  }
  std::copy(before.begin(), before.end(), name.begin());
  return std::nullopt;
}

void NameScrambler::scramble_names(std::span<std::byte> value, format::LeafItem& item, const Bounds& bounds,
                                   std::span<const std::uint64_t> taken) {
  const auto kind = format::ItemKind{item.kind};
  const std::vector<Place> places = places_in(value, kind);
  for (const Place& place : places) {
    const std::span<char> name = chars(place.name);
    const bool is_attribute = kind == format::ItemKind::xattr;
    const bool is_users = text(name).starts_with(kUserPrefix);
    if (is_attribute && is_users) write_over(place.value, '\0');
    if ((is_attribute && !is_users) || text(name) == kLostFound) continue;
    // One that is not allowed is what somebody wants to look into.
    if (!is_attribute && !format::is_dirent_name(text(name))) continue;
    const std::size_t kept = is_attribute ? kUserPrefix.size() : 0;
    if (format::hash_name(text(name), seed_) != item.offset) {
      fill(name.subspan(kept));
    } else if (places.size() == 1) {  // the others under this hash would be left behind
      item.offset = rename(name, kept, bounds, taken).value_or(item.offset);
    }
  }
}

void NameScrambler::scramble(std::span<std::byte> leaf, const format::Key& lowest,
                             const std::optional<format::Key>& limit) {
  auto* const first = reinterpret_cast<format::LeafItem*>(leaf.data() + sizeof(format::NodeHeader));
  const std::span<format::LeafItem> items(first, format::header_of(leaf).count);
  for (format::LeafItem& item : items) {
    const std::span<std::byte> value = leaf.subspan(item.value_offset, item.value_size);
    const auto kind = format::ItemKind{item.kind};
    if (kind == format::ItemKind::symlink) write_over(value, 'x');
    if (kind == format::ItemKind::inline_data || kind == format::ItemKind::xattr_value) write_over(value, '\0');
    if (kind != format::ItemKind::dirent && kind != format::ItemKind::xattr) continue;
    const auto is_alike = [&item](const auto& key) {
      return key.inode.value() == item.inode && static_cast<std::uint8_t>(key.kind) == item.kind;
    };
    Bounds bounds{0, std::numeric_limits<std::uint64_t>::max()};
    if (is_alike(lowest)) bounds.first = lowest.offset;
    if (limit && is_alike(*limit)) bounds.last = limit->offset - 1;
    std::vector<std::uint64_t> taken;
    for (const format::LeafItem& other : items) {
      if (&other != &item && is_alike(format::key_of(other))) taken.push_back(other.offset);
    }
    scramble_names(value, item, bounds, taken);
  }
  std::sort(items.begin(), items.end(),
            [](const format::LeafItem& a, const format::LeafItem& b) { return format::key_of(a) < format::key_of(b); });
}

}  // namespace ashlar::ctl
