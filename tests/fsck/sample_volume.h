// A volume with some of everything in it, not mounted, and a way to check it.
#pragma once

#include <set>
#include <string>

#include "fsck/check.h"
#include "tests/volume/rig.h"

namespace ashlar::fsck::testing {

using volume::testing::Geometry;
using volume::testing::Rig;

// The names of the findings, each once.
using Names = std::set<std::string>;
[[nodiscard]] Names names_of(const Report& report);
[[nodiscard]] Report check(blockio::BlockDevice& device, const CheckOptions& options = {});

class SampleVolume {
 public:
  static constexpr std::uint64_t kSparseBlocks = 300;  // every other block of `sparse`
  // Blocks with contents: of `file`, `other`, `sparse`, and one in `preallocated`.
  static constexpr std::uint64_t kDataBlocks = 8 + 8 + kSparseBlocks + 1;
  static constexpr std::uint64_t kInodes = 119;
  static constexpr std::uint64_t kDirectories = 5;

  explicit SampleVolume(const Geometry& geometry = volume::testing::kMiddleNodes);

  [[nodiscard]] blockio::MemoryDevice& device() { return rig.device(); }

  struct File {
    std::string name;
    InodeNumber inode;
    std::string contents;
  };
  // Those with contents, as they were made.
  [[nodiscard]] std::vector<File> files() const;

  Rig rig;                  // unmounted
  InodeNumber directory;    // "d" in the root; all below are in it
  InodeNumber file;         // "f", 8 blocks in one extent
  InodeNumber other;        // "other", likewise
  InodeNumber small;        // "small", inline
  InodeNumber sparse;       // "sparse", its extents fill several leaves
  InodeNumber xattr_owner;  // "x", with a value that lies apart
  InodeNumber fifo;         // "fifo"
  InodeNumber symlink;      // "symlink"
  InodeNumber left;         // "left", a directory
  InodeNumber right;        // "right", a directory
  InodeNumber long_link;    // "long link", a target that fills several items where nodes are small

  [[nodiscard]] static std::string long_target();

 private:
  void fill();
  void fill_rare();
};

}  // namespace ashlar::fsck::testing
