// How a file lies on the device. See Volume::list_extents.
#pragma once

#include <cstdint>
#include <vector>

namespace ashlar::volume {

// All in bytes; `physical` from the volume's beginning.
struct FileExtent {
  std::uint64_t logical = 0;
  std::uint64_t physical = 0;  // of inline data, which has no block of its own: 0
  std::uint64_t length = 0;
  bool is_inline = false;
  bool unwritten = false;
  bool without_checksums = false;
};

struct ExtentList {
  std::vector<FileExtent> extents;  // ascending; as far as possible joined
  std::uint64_t next = 0;           // where to go on
  bool done = false;                // nothing follows
  std::uint64_t file_size = 0;
};

}  // namespace ashlar::volume
