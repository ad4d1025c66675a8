// What POSIX says a tree of files is: the model that volumes are compared with.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace ashlar::volume::testing {

struct ModelNode;
using ModelNodePtr = std::shared_ptr<ModelNode>;

struct ModelNode {
  std::uint32_t mode = 0;
  std::string contents;  // of a file
  std::string target;    // of a symbolic link
  std::map<std::string, ModelNodePtr> names;
  std::map<std::string, std::string> xattrs;
  unsigned links = 0;

  [[nodiscard]] bool is_directory() const { return S_ISDIR(mode); }

  void write(std::uint64_t offset, const std::string& data) {
    contents.resize(std::max<std::size_t>(contents.size(), offset + data.size()));
    contents.replace(offset, data.size(), data);
  }
  // What fallocate(2) does; `empties`: contents become zeros.
  void allocate(std::uint64_t offset, std::uint64_t length, bool keeps_size, bool empties) {
    if (!keeps_size) contents.resize(std::max<std::size_t>(contents.size(), offset + length));
    if (!empties || offset >= contents.size()) return;
    const std::size_t zeroed = std::min<std::size_t>(length, contents.size() - offset);
    contents.replace(offset, zeroed, zeroed, '\0');
  }
};

// Whether `sought` is `above` or lies below it.
[[nodiscard]] inline bool holds(const ModelNode& above, const ModelNode& sought) {
  if (&above == &sought) return true;
  return std::any_of(above.names.begin(), above.names.end(),
                     [&](const auto& entry) { return entry.second->is_directory() && holds(*entry.second, sought); });
}

}  // namespace ashlar::volume::testing
