// Small sound structures for tests to damage.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fs/format/key.h"
#include "fs/format/layout.h"
#include "fs/format/node.h"
#include "fs/format/superblock.h"

namespace ashlar::format::testing {

inline constexpr std::uint8_t kUuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
inline constexpr std::uint8_t kOtherUuid[16] = {99};
inline constexpr std::uint64_t kVolumeBytes = 256ULL << 20;

[[nodiscard]] Layout sample_layout();
// Sealed and valid for a device of kVolumeBytes.
[[nodiscard]] Superblock sample_superblock(std::uint64_t generation = 1);

using SampleItem = std::pair<Key, std::string>;

// Sealed nodes at blocks 1000 and 2000, of generation 5.
[[nodiscard]] std::vector<std::byte> sample_leaf(const std::vector<SampleItem>& items, std::size_t node_size = 4096);
[[nodiscard]] std::vector<std::byte> sample_internal(const std::vector<Key>& keys, std::size_t node_size = 4096);
// The pointer that leads to it.
[[nodiscard]] NodePointer pointer_to(std::span<const std::byte> node);

[[nodiscard]] inline NodeHeader& mutable_header(std::span<std::byte> node) {
  return *reinterpret_cast<NodeHeader*>(node.data());
}

}  // namespace ashlar::format::testing
