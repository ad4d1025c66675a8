// Looking for damage on a volume in use. See Volume::scrub.
#pragma once

#include <cstdint>
#include <vector>

#include "fs/base/error.h"
#include "fs/base/types.h"
#include "fs/format/key.h"
#include "fs/store/scrub.h"

namespace ashlar::volume {

// Any position is valid, whoever made it up.
struct ScrubPosition {
  enum class Phase : std::uint8_t {
    fixed,  // what lies at fixed places, from `unit` on
    tree,   // the tree and the data of files, from `key` on
    done,
  };
  Phase phase = Phase::fixed;
  std::uint64_t unit = 0;
  format::Key key = format::kLowestKey;
};

// Neighbouring blocks of a file that are not what they should be, or cannot be read.
struct DataFinding {
  InodeNumber inode;
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;
  ErrorCode why{};
};

// A step ends early when it has found this much.
inline constexpr std::size_t kMaxScrubFindings = 64;

struct ScrubStep {
  ScrubPosition next;
  store::MetadataScrub metadata;
  std::uint64_t data_bytes = 0;       // compared with their checksums
  std::uint64_t unchecked_bytes = 0;  // of file data without checksums, not read
  std::vector<DataFinding> data;
};

}  // namespace ashlar::volume
