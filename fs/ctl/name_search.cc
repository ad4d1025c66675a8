#include "fs/ctl/name_search.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "fs/ctl/cancel_on_signal.h"

namespace ashlar::ctl {

void find_names(const std::string& root, std::vector<InodeRange> ranges,
                const std::function<bool(const std::string& path, std::uint64_t inode)>& found) {
  std::sort(ranges.begin(), ranges.end(), [](const InodeRange& a, const InodeRange& b) { return a.last < b.last; });
  const auto wanted = [&ranges](std::uint64_t inode) {
    // Ranges may overlap, so the first that ends at or after the inode need not be the one that holds it.
    auto range = std::lower_bound(ranges.begin(), ranges.end(), inode,
                                  [](const InodeRange& candidate, std::uint64_t at) { return candidate.last < at; });
    return std::any_of(range, ranges.end(), [inode](const InodeRange& candidate) { return candidate.first <= inode; });
  };
  struct stat info {};
  if (stat(root.c_str(), &info) != 0) return;
  if (wanted(info.st_ino) && !found(root, info.st_ino)) return;
  const dev_t device = info.st_dev;
  std::vector<std::string> waiting = {root};
  while (!waiting.empty() && !cancelled()) {
    const std::string directory = std::move(waiting.back());
    waiting.pop_back();
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
    if (!entries || fstat(dirfd(entries.get()), &info) != 0 || info.st_dev != device) continue;
    while (const dirent* entry = readdir(entries.get())) {
      const std::string_view name(entry->d_name);
      if (name == "." || name == "..") continue;
      const std::string path = fmt::format("{}/{}", directory == "/" ? "" : directory, name);
      if (wanted(entry->d_ino) && !found(path, entry->d_ino)) return;
      if (entry->d_type == DT_DIR) waiting.push_back(path);
    }
  }
}

}  // namespace ashlar::ctl
