// Takes what people wrote out of the leaves of a tree and leaves its shape: for images that go with bug reports.
#pragma once

#include <optional>
#include <random>

#include "fs/format/items.h"
#include "fs/format/node.h"

namespace ashlar::ctl {

class NameScrambler {
 public:
  explicit NameScrambler(const std::uint8_t (&hash_seed)[16]);

  // Of a valid leaf that holds keys from `lowest` up to `limit`: names get other letters, as many, and move within the
  // leaf to where their new hashes belong; a name for which no such letters are found stays, as do "lost+found", names
  // that are not allowed, and attributes that are not users'. Targets of symbolic links, contents and attributes'
  // values are written over. A name that was not where its hash belongs still is not. The leaf's checksum is the
  // caller's.
  void scramble(std::span<std::byte> leaf, const format::Key& lowest, const std::optional<format::Key>& limit);

 private:
  struct Bounds {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };

  // Another name of that length whose hash is within bounds and not taken; its hash, or none.
  [[nodiscard]] std::optional<std::uint64_t> rename(std::span<char> name, std::size_t kept_prefix, const Bounds& bounds,
                                                    std::span<const std::uint64_t> taken);
  void scramble_names(std::span<std::byte> value, format::LeafItem& item, const Bounds& bounds,
                      std::span<const std::uint64_t> taken);
  void fill(std::span<char> letters);

  std::uint8_t seed_[16];
  std::mt19937_64 random_;
};

}  // namespace ashlar::ctl
