#include "tests/mount/tree_compare.h"

#include <sys/stat.h>

#include <cstring>

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostDifferences = 20;

std::string difference(const fs::path& original, const fs::path& copy) {
  struct stat a {};
  struct stat b {};
  if (lstat(original.c_str(), &a) != 0) return "vanished from the original";
  if (lstat(copy.c_str(), &b) != 0) return std::strerror(errno);
  if (a.st_mode != b.st_mode) return "mode";
  if (a.st_uid != b.st_uid || a.st_gid != b.st_gid) return "owner";
  if (!S_ISDIR(a.st_mode) && a.st_size != b.st_size) return "size";
  if (a.st_mtim.tv_sec != b.st_mtim.tv_sec || a.st_mtim.tv_nsec != b.st_mtim.tv_nsec) return "modification time";
  if (S_ISLNK(a.st_mode) && fs::read_symlink(original) != fs::read_symlink(copy)) return "symlink target";
  return {};
}

std::size_t entries_below(const fs::path& directory) {
  std::size_t count = 0;
  for ([[maybe_unused]] const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) ++count;
  return count;
}

}  // namespace

std::vector<std::string> metadata_differences(const fs::path& original, const fs::path& copy) {
  std::vector<std::string> differences;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(original)) {
    const fs::path relative = fs::relative(entry.path().parent_path(), original) / entry.path().filename();
    const std::string found = difference(entry.path(), copy / relative);
    if (!found.empty()) differences.push_back(relative.string() + ": " + found);
    if (differences.size() == kMostDifferences) return differences;
  }
  if (entries_below(original) != entries_below(copy)) differences.emplace_back("the number of entries");
  return differences;
}

}  // namespace ashlar::mount_test
