#include "fs/daemon/remount.h"

#include <linux/limits.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace ashlar::daemon {
namespace {

constexpr std::array<std::pair<std::string_view, unsigned long>, 6> kFlags = {{{"nodev", MS_NODEV},
                                                                               {"nosuid", MS_NOSUID},
                                                                               {"noexec", MS_NOEXEC},
                                                                               {"noatime", MS_NOATIME},
                                                                               {"sync", MS_SYNCHRONOUS},
                                                                               {"dirsync", MS_DIRSYNC}}};

unsigned long flags_of(const MountRequest& request) {
  unsigned long flags = request.read_only ? MS_RDONLY : 0;
  for (const std::string& option : request.kernel_options) {
    for (const auto& [name, flag] : kFlags) {
      if (option == name) flags |= flag;
      if ("no" + option == name) flags &= ~flag;
    }
  }
  return flags;
}

// What the daemon behind the mount says of itself (status.h): read-write, read-only or stopped.
Result<std::string> daemon_state(const std::string& mount_point) {
  std::string text(XATTR_SIZE_MAX, '\0');
  const ssize_t size = getxattr(mount_point.c_str(), "user.ashlarfs.status", text.data(), text.size());
  if (size < 0 && (errno == ENODATA || errno == EOPNOTSUPP)) {
    return fail(ErrorCode::invalid_argument, "no AshlarFS volume is mounted there");
  }
  if (size < 0) return fail(from_errno(errno));
  text.resize(static_cast<std::size_t>(size));
  const nlohmann::json status = nlohmann::json::parse(text, nullptr, false);
  return status.is_object() ? status.value("state", "") : std::string();
}

}  // namespace

Status remount(const MountRequest& request) {
  const std::string state = TRY(daemon_state(request.mount_point));
  if (!request.read_only && state != "read-write") {
    return fail(ErrorCode::read_only, "the daemon is " + state + "; unmount and mount it again to write");
  }
  if (::mount(nullptr, request.mount_point.c_str(), nullptr, MS_REMOUNT | flags_of(request), nullptr) == 0) return {};
  const int error = errno;
  if (error == EBUSY) return fail(ErrorCode::busy, "files are open for writing, or removed and still open");
  return fail(from_errno(error));
}

}  // namespace ashlar::daemon
