// A volume with thousands of files of all kinds after a crash, for tests that damage each piece of it in turn.
#pragma once

#include <cstddef>
#include <set>
#include <vector>

#include "tests/fsck/metadata_places.h"
#include "tests/fsck/picture.h"
#include "tests/fsck/sample_volume.h"

namespace ashlar::fsck::testing {

// Whether everything is to be damaged (ASHLAR_DAMAGE_ALL) and not a sample.
[[nodiscard]] bool damages_all();

// Tests are divided into so many parts, each with its share of what is damaged.
inline constexpr std::size_t kShards = 2;

// Of `count` things those that a shard looks at: about `sample` in all shards together, or each.
[[nodiscard]] std::vector<std::size_t> share_of(std::size_t shard, std::size_t count, std::size_t sample);

// One block of a file's contents.
struct DataBlock {
  InodeNumber inode;
  std::uint64_t file_block = 0;
  BlockNumber physical;
};

class SystematicVolume {
 public:
  SystematicVolume();

  // What the volume shows when it is mounted; it is left crashed.
  [[nodiscard]] Picture view();
  void restore() { rig.device().restore(pristine); }
  // Everything but the inodes in `damaged` is in `after` as it was before, and where it was unless a directory on the
  // way is among them.
  void expect_only_lost(const Picture& after, const std::set<std::uint64_t>& damaged) const;

  Rig rig;  // not mounted; the log holds the making of "late"
  blockio::MemoryImage pristine{0};
  std::vector<MetadataPiece> pieces;
  std::vector<std::set<std::uint64_t>> inodes;  // that have items in the piece
  std::vector<DataBlock> data;                  // checksummed, in the order of the tree
  Picture before;
};

}  // namespace ashlar::fsck::testing
