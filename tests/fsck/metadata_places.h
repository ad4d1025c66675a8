// Where a volume's metadata lies: what tests damage, place by place.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tests/fsck/image_editor.h"

namespace ashlar::fsck::testing {

// A piece of metadata in use: bytes on the device that exist twice.
struct MetadataPiece {
  std::string name;
  std::array<std::uint64_t, format::kCopies> offsets{};
  std::size_t length = 0;
  std::optional<NodePath> node;             // when it is one
  std::optional<std::uint64_t> other_slot;  // where the version before it lies, when it has slots
};

[[nodiscard]] std::vector<MetadataPiece> metadata_pieces(ImageEditor& image);

}  // namespace ashlar::fsck::testing
