// Everything that a user can see of a tree, as text: what is compared after a crash, and shown when it differs.
#pragma once

#include <string>

#include "blockio/aligned_buffer.h"
#include "fs/volume/volume.h"
#include "tests/volume/model_node.h"

namespace ashlar::crash_test {

// A line for each name, in order: what a model knows (path, type and permissions, links, size, contents, target,
// extended attributes), then '|', then what only the volume knows (inode number, owner, device, flags, times).
class Viewer {
 public:
  Viewer();
  // What cannot be read is in the text as its error.
  [[nodiscard]] std::string look_at(volume::Volume& volume, volume::Context& context);

 private:
  void look_into(InodeNumber directory, const std::string& path);
  void add(InodeNumber number, const std::string& path);
  void add_contents(InodeNumber number, std::uint64_t size);
  void add_xattrs(InodeNumber number);

  volume::Volume* volume_ = nullptr;
  volume::Context* context_ = nullptr;
  blockio::AlignedBuffer buffer_;
  std::string text_;
};

// The part of Viewer's text that a model knows; and a model's own.
[[nodiscard]] std::string plain(const std::string& text);
[[nodiscard]] std::string plain(const volume::testing::ModelNode& root);

[[nodiscard]] std::uint64_t digest(const std::string& text);

// The lines that only one of two texts has.
[[nodiscard]] std::string difference(const std::string& expected, const std::string& shown);

}  // namespace ashlar::crash_test
