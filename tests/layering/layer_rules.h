// Which folder may use which: section "Layers" of docs/architecture.md, as a table a test can check.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ashlar::layering {

struct Violation {
  int line = 0;  // counted from 1
  std::string reason;
};

// The layer that a path from the repository's root belongs to ("fs/store/tree.cc" is of "fs/store"); empty when it is
// of none. The log reader is a layer of its own inside fs/store: fsck may use it, and nothing else of the store.
[[nodiscard]] std::string_view layer_of(std::string_view path);

// The forbidden includes of a source or header at `path` whose contents are `text`: of a layer that its own may not
// use, of a path that is not one from the root, or of a system header that belongs to another layer's business.
[[nodiscard]] std::vector<Violation> check_source(std::string_view path, std::string_view text);

// The forbidden libraries (ashlar::NAME) that the CMakeLists.txt at `path` with contents `text` links.
[[nodiscard]] std::vector<Violation> check_cmake(std::string_view path, std::string_view text);

}  // namespace ashlar::layering
