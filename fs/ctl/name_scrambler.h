// Takes what people wrote out of the leaves of a tree and leaves its shape: for images that go with bug reports.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <string>

#include "fs/format/items.h"
#include "fs/format/node.h"

namespace ashlar::ctl {

class NameScrambler {
 public:
  explicit NameScrambler(const std::uint8_t (&hash_seed)[16]);

  // Of a valid leaf that holds keys from `lowest` up to `limit`: names get other letters, as many, and move within the
  // leaf to where their new hashes belong. A name of one or two bytes for which no other is found stays, as do
  // "lost+found", names that are not allowed, and attributes that are not users'. Of several names with one hash, all
  // but the first are no longer where their hashes belong, and so is a longer name for which no other is found. Targets
  // of symbolic links, contents and attributes' values are written over. A name that was not where its hash belongs
  // still is not. The leaf's checksum is the caller's.
  void scramble(std::span<std::byte> leaf, const format::Key& lowest, const std::optional<format::Key>& limit);

  // For what is put over the tree, a log: has scramble() remember where the items of these keys go and what their
  // names become, so that the same names get the same ones there.
  void remember(const format::Key& key);
  // The value of an item, likewise; one that was not in the tree goes anywhere. Returns its key now.
  [[nodiscard]] format::Key scramble_value(const format::Key& key, std::span<std::byte> value);
  // Where an item of this key went.
  [[nodiscard]] format::Key moved(const format::Key& key) const;

 private:
  // What became of an item.
  struct Moved {
    std::optional<std::uint64_t> offset;
    std::map<std::string, std::string> names;
  };
  struct Bounds {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };

  // Another name of that length whose hash is within bounds and not taken; its hash, or none.
  [[nodiscard]] std::optional<std::uint64_t> rename(std::span<char> name, std::size_t kept_prefix, const Bounds& bounds,
                                                    std::span<const std::uint64_t> taken);
  // Of a dirent or xattr item. Returns its offset now.
  std::uint64_t scramble_names(std::span<std::byte> value, const format::Key& key, const Bounds& bounds,
                               std::span<const std::uint64_t> taken, Moved& moved);
  void fill(std::span<char> letters);
  void fill_with_anything(std::span<char> letters);

  std::uint8_t seed_[16];
  std::mt19937_64 random_;
  std::map<format::Key, Moved> remembered_;
};

}  // namespace ashlar::ctl
