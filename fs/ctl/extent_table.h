// The extents of a file as filefrag -v of e2fsprogs prints them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fs/fuse/extent_protocol.h"

namespace ashlar::ctl {

// Prints to standard output.
class ExtentTable {
 public:
  explicit ExtentTable(const std::string& path) : path_(path) {}

  // One answer after the other; extents of two that go on in one another are one.
  void add(const fuse::ExtentExchange& answer);
  void finish();

 private:
  void print_row(const fuse::ExtentEntry& extent, bool last);

  const std::string& path_;
  std::uint64_t file_size_ = 0;
  std::uint64_t block_size_ = 0;              // 0: nothing has been printed
  std::optional<fuse::ExtentEntry> pending_;  // the last one, to be printed
  std::uint64_t printed_ = 0;
  std::uint64_t expected_ = 0;  // where the one printed last ends
  std::uint64_t logical_end_ = 0;
};

}  // namespace ashlar::ctl
