// Names that nothing in a directory has yet: a stem, with as many '~' behind it as it takes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar::fsck {

// Remembers of a directory's names only those that are in the way.
class FreeNames {
 public:
  // Stems do not end in '~'. All of them before the first note().
  void want(std::string stem) { taken_.try_emplace(std::move(stem)); }
  // A name that the directory has.
  void note(std::string_view name);
  void forget_notes();
  // For a stem that was wanted, once; empty when all that are short enough to be a name are there.
  [[nodiscard]] std::string choose(const std::string& stem) const;

 private:
  std::map<std::string, std::vector<bool>, std::less<>> taken_;  // by how many '~' are behind the stem
};

}  // namespace ashlar::fsck
