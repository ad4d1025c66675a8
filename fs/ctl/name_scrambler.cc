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
// A leaf of a directory of a million names takes some thousands. Short names run out of letters: then any bytes do.
constexpr int kMostTries = 200'000;
constexpr int kTriesWithLetters = kMostTries / 2;
// Names so short tell nothing, and may have no other that could stand for them.
constexpr std::size_t kShortName = 2;

std::span<char> chars(std::span<std::byte> bytes) { return {reinterpret_cast<char*>(bytes.data()), bytes.size()}; }
std::string_view text(std::span<const char> letters) { return {letters.data(), letters.size()}; }

void write_over(std::span<std::byte> bytes, char with) {
  std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>(with));
}

bool has_names(format::ItemKind kind) { return kind == format::ItemKind::dirent || kind == format::ItemKind::xattr; }

// Of an item without names.
void write_over_contents(format::ItemKind kind, std::span<std::byte> value) {
  if (kind == format::ItemKind::symlink) write_over(value, 'x');
  if (kind == format::ItemKind::inline_data || kind == format::ItemKind::xattr_value) write_over(value, '\0');
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

void NameScrambler::fill_with_anything(std::span<char> letters) {
  for (char& letter : letters) {
    do {
      letter = static_cast<char>(random_());
    } while (letter == '\0' || letter == '/');
  }
}

std::optional<std::uint64_t> NameScrambler::rename(std::span<char> name, std::size_t kept_prefix, const Bounds& bounds,
                                                   std::span<const std::uint64_t> taken) {
  const std::string before(text(name));
  for (int tries = 0; tries < kMostTries; ++tries) {
    if (tries < kTriesWithLetters) {
      fill(name.subspan(kept_prefix));
    } else {
      fill_with_anything(name.subspan(kept_prefix));
    }
    const std::uint64_t hash = format::hash_name(text(name), seed_);
    if (text(name) == "." || text(name) == "..") continue;
    if (hash < bounds.first || hash > bounds.last || std::find(taken.begin(), taken.end(), hash) != taken.end())
      continue;
    return hash;
  }
  std::copy(before.begin(), before.end(), name.begin());
  return std::nullopt;
}

std::uint64_t NameScrambler::scramble_names(std::span<std::byte> value, const format::Key& key, const Bounds& bounds,
                                            std::span<const std::uint64_t> taken, Moved& moved) {
  for (const Place& place : places_in(value, key.kind)) {
    const std::span<char> name = chars(place.name);
    const bool is_attribute = key.kind == format::ItemKind::xattr;
    const bool is_users = text(name).starts_with(kUserPrefix);
    if (is_attribute && is_users) write_over(place.value, '\0');
    if ((is_attribute && !is_users) || text(name) == kLostFound) continue;
    // One that is not allowed is what somebody wants to look into.
    if (!is_attribute && !format::is_dirent_name(text(name))) continue;
    const std::size_t kept = is_attribute ? kUserPrefix.size() : 0;
    const auto [known, is_new] = moved.names.try_emplace(std::string(text(name)));
    if (!is_new) {  // the tree's name in the log, or one twice in a directory, which is a fault to be kept
      std::copy(known->second.begin(), known->second.end(), name.begin());
      continue;
    }
    const bool belongs = format::hash_name(text(name), seed_) == key.offset;
    if (belongs && !moved.offset) {
      const std::optional<std::uint64_t> hash = rename(name, kept, bounds, taken);
      moved.offset = hash.value_or(key.offset);
      if (!hash && name.size() - kept > kShortName) fill(name.subspan(kept));
    } else {
      // Also of two names with one hash the second: another such pair is more than can be found.
      fill(name.subspan(kept));
    }
    known->second = text(name);
  }
  return moved.offset.value_or(key.offset);
}

void NameScrambler::remember(const format::Key& key) { remembered_.try_emplace(key); }

format::Key NameScrambler::moved(const format::Key& key) const {
  const auto found = remembered_.find(key);
  return {key.inode, key.kind, found == remembered_.end() ? key.offset : found->second.offset.value_or(key.offset)};
}

format::Key NameScrambler::scramble_value(const format::Key& key, std::span<std::byte> value) {
  if (!has_names(key.kind)) return write_over_contents(key.kind, value), key;
  const Bounds anywhere{0, std::numeric_limits<std::uint64_t>::max()};
  return {key.inode, key.kind, scramble_names(value, key, anywhere, {}, remembered_[key])};
}

void NameScrambler::scramble(std::span<std::byte> leaf, const format::Key& lowest,
                             const std::optional<format::Key>& limit) {
  auto* const first = reinterpret_cast<format::LeafItem*>(leaf.data() + sizeof(format::NodeHeader));
  const std::span<format::LeafItem> items(first, format::header_of(leaf).count);
  for (format::LeafItem& item : items) {
    const std::span<std::byte> value = leaf.subspan(item.value_offset, item.value_size);
    const format::Key at = format::key_of(item);
    if (!has_names(at.kind)) {
      write_over_contents(at.kind, value);
      continue;
    }
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
    const auto remembered = remembered_.find(at);
    Moved forgotten;
    item.offset =
        scramble_names(value, at, bounds, taken, remembered != remembered_.end() ? remembered->second : forgotten);
  }
  std::sort(items.begin(), items.end(),
            [](const format::LeafItem& a, const format::LeafItem& b) { return format::key_of(a) < format::key_of(b); });
}

}  // namespace ashlar::ctl
