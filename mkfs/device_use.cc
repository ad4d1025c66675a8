#include "mkfs/device_use.h"

#include <fmt/format.h>
#include <libmount/libmount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

namespace ashlar::mkfs {
namespace {

struct UnrefTable {
  void operator()(libmnt_table* table) const noexcept { mnt_unref_table(table); }
};
struct FreeText {
  void operator()(char* text) const noexcept { std::free(text); }
};

// As a mount source by either name, or by number when it is a block device.
std::optional<std::string> mount_point_of(const std::string& path, const std::string& resolved) {
  const std::unique_ptr<libmnt_table, UnrefTable> table(mnt_new_table_from_file("/proc/self/mountinfo"));
  if (!table) return std::nullopt;
  libmnt_fs* mount = mnt_table_find_srcpath(table.get(), resolved.c_str(), MNT_ITER_BACKWARD);
  if (mount == nullptr) mount = mnt_table_find_srcpath(table.get(), path.c_str(), MNT_ITER_BACKWARD);
  struct stat info {};
  if (mount == nullptr && stat(path.c_str(), &info) == 0 && S_ISBLK(info.st_mode)) {
    mount = mnt_table_find_devno(table.get(), info.st_rdev, MNT_ITER_BACKWARD);
  }
  if (mount == nullptr) return std::nullopt;
  const char* target = mnt_fs_get_target(mount);
  return std::string(target == nullptr ? "?" : target);
}

// The loop device whose backing file this is.
std::optional<std::string> loop_device_of(const std::string& resolved) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/sys/block", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.rfind("loop", 0) != 0) continue;
    std::ifstream file(entry->path() / "loop" / "backing_file");
    std::string backing;
    if (std::getline(file, backing) && backing == resolved) return "/dev/" + name;
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<std::string>> describe_use(const std::string& path) {
  const std::unique_ptr<char, FreeText> resolved(realpath(path.c_str(), nullptr));
  if (!resolved) return fail(from_errno(errno), std::strerror(errno));
  if (const auto target = mount_point_of(path, resolved.get())) {
    return std::optional<std::string>(fmt::format("is mounted at {}", *target));
  }
  if (const auto loop = loop_device_of(resolved.get())) {
    return std::optional<std::string>(fmt::format("is attached to {}", *loop));
  }
  return std::optional<std::string>();
}

}  // namespace ashlar::mkfs
