// The paths of the inodes that findings are about: from the directories that the pass over the names found them in up
// to the root, and then one look at the entries of those directories.
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "fsck/directory_names.h"

namespace ashlar::fsck {
namespace {

// Names on a path; what a hostile tree nests deeper, or in a circle, is told from there on.
constexpr std::size_t kMostNames = 128;

class PathFinder {
 public:
  explicit PathFinder(CheckContext& context) : context_(context) {}

  [[nodiscard]] Status run() {
    std::set<std::uint64_t> wanted = context_.report.inodes_found();
    wanted.insert(context_.options.also_name.begin(), context_.options.also_name.end());
    for (const std::uint64_t inode : wanted) climb(inode);
    if (names_.empty() && !wanted.contains(kRootNumber)) return {};
    TRY(read_names());
    for (const std::uint64_t inode : wanted) tell(inode);
    return {};
  }

 private:
  // The directory that has a name of the inode; 0: none known.
  [[nodiscard]] std::uint64_t directory_of(std::uint64_t inode) {
    const InodeRecord* const record = find_inode(context_.inodes, inode);
    if (record != nullptr && S_ISDIR(record->mode)) return record->found_parent;
    const auto place = context_.places.find(inode);
    return place == context_.places.end() ? 0 : place->second;
  }

  void climb(std::uint64_t inode) {
    for (std::size_t i = 0; i < kMostNames && inode != kRootNumber; ++i) {
      const std::uint64_t directory = directory_of(inode);
      // What lies above one that was met before is known too.
      if (directory == 0 || !names_.try_emplace({directory, inode}).second) return;
      inode = directory;
    }
  }

  [[nodiscard]] Status read_names() {
    CheckContext reading = context_.to_read_again();
    reading.begin_progress({Pass::names, 1.0, 1.0});
    const auto next = [this](std::uint64_t from) -> std::optional<std::uint64_t> {
      const auto found = names_.lower_bound({from, 0});
      return found == names_.end() ? std::nullopt : std::optional(found->first.first);
    };
    return fsck::read_names(reading, next, [this](std::uint64_t directory, const format::Dirent& entry) {
      const auto wanted = names_.find({directory, entry.inode.value()});
      if (wanted != names_.end() && wanted->second.empty()) wanted->second = entry.name;
    });
  }

  // As much of the path as is known: what has no way up to the root begins with the number of where it ends.
  void tell(std::uint64_t inode) {
    std::string path;
    std::uint64_t at = inode;
    for (std::size_t i = 0; i < kMostNames && at != kRootNumber; ++i) {
      const std::uint64_t directory = directory_of(at);
      const auto name = names_.find({directory, at});
      if (name == names_.end() || name->second.empty()) break;
      path = "/" + name->second + path;
      at = directory;
    }
    if (at == inode && at != kRootNumber) return;
    if (at != kRootNumber) path = fmt::format("#{}", at) + path;
    context_.report.set_path(inode, path.empty() ? "/" : std::move(path));
  }

  CheckContext& context_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> names_;  // by directory and inode
};

}  // namespace

Status pass_paths(CheckContext& context) { return PathFinder(context).run(); }

}  // namespace ashlar::fsck
